#!/usr/bin/env python3
"""The archive that the registry makes of this repository: what git tracks, less what `.comfyignore` names.

python -m tools.dev.archive [pack.zip]      its size, and what takes most of it; with a path, also the archive
"""

import argparse
import io
import subprocess
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LARGEST = 16_000_000  # bytes of the archive


def files() -> list[str]:
    """Names of the files that go in."""
    tracked = _git("ls-files", "-z")
    ignored = set(_git("ls-files", "-z", "--cached", "--ignored", "--exclude-from=.comfyignore"))
    return [name for name in tracked if name not in ignored]


def packed(names: list[str]) -> bytes:
    """The archive."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.write(ROOT / name, name)
    return made.getvalue()


def _git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True)
    return [name for name in done.stdout.decode("utf-8").split("\0") if name]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archive", type=Path, nargs="?")
    path = parser.parse_args().archive
    names = files()
    archive = packed(names)
    print(f"{len(names)} files, {len(archive) / 1e6:.1f} MB (at most {LARGEST / 1e6:.0f})")
    for name in sorted(names, key=lambda n: -(ROOT / n).stat().st_size)[:8]:
        print(f"  {(ROOT / name).stat().st_size / 1e6:6.2f} MB  {name}")
    if path:
        path.write_bytes(archive)


if __name__ == "__main__":
    main()
