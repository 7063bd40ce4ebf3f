#!/usr/bin/env python3
"""What the registry's validators say of the pack, each in an environment of its own outside the repository.

    python -m tools.dev.validators

Weighs the archive and runs `comfy node validate` (comfy-cli) on what is in it; a failure of either fails. `comfy-test lint
--strict` is shown only: it counts every Greek letter of a formula's text as an error, and the loading of a style sheet.
comfy-import-guard (needs a clone of ComfyUI and the network) and the registry's own scan are not run here.
"""

import io
import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

from .archive import LARGEST, files, packed
from .console import ROOT, say

TOOLS = ("comfy-cli==1.23.0", "comfy-test==0.4.15")
CHECK, SHOWN = ("comfy", "node", "validate"), ("comfy-test", "lint", ".", "--strict")


def programs(folder: Path) -> Path:
    """A new environment with the validators; where its programs lie."""
    venv.create(folder, with_pip=True)
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    subprocess.run([scripts / "python", "-m", "pip", "install", "--quiet", *TOOLS], check=True)
    # it would ask on its first run, and then report what is done
    subprocess.run([scripts / "comfy", "--skip-prompt", "tracking", "disable"], cwd=ROOT)
    return scripts


def main() -> int:
    """The number of checks that failed."""
    archive = packed(files())
    say(f"archive: {len(archive) / 1e6:.1f} MB, at most {LARGEST / 1e6:.0f}")
    with tempfile.TemporaryDirectory() as folder:
        scripts, pack = programs(Path(folder) / "tools"), Path(folder) / "ar-guidance"
        with zipfile.ZipFile(io.BytesIO(archive)) as file:
            file.extractall(pack)
        statuses = []
        for program, *arguments in (CHECK, SHOWN):
            say(f"== {' '.join((program, *arguments))}")
            statuses.append(subprocess.run([scripts / program, *arguments], cwd=pack).returncode)
    return (len(archive) > LARGEST) + (statuses[0] != 0)


if __name__ == "__main__":
    sys.exit(main())
