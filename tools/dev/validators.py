#!/usr/bin/env python3
"""What others' validators say of the pack, as the registry would pack it; the validators live in an environment of their own.

    python -m tools.dev.validators

- weighs the archive;
- `comfy node validate` (comfy-cli): what the registry asks of pyproject.toml and the files;
- `comfy-test lint --strict`: letters a Windows console cannot show, pages shared with other packs, and the like;
- `comfy-import-guard check --strict`: nothing of ComfyUI is used that the newest tested host lacks;
- `comfy-lint --strict`: every API workflow against the nodes of that host, which is started for it.

The registry's own scan is not run here.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .archive import LARGEST, files, packed
from .console import ROOT, say
from .environment import prepare_environment
from .host_client import HostClient
from .host_process import HostProcess, start_host
from .hosts import NEWEST, prepare_host

TOOLS = (
    "comfy-cli==1.23.0",
    "comfy-test==0.4.15",
    "comfy-import-guard==1.3.0",
    "comfy-lint==0.1.0",
)
NAMED = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".json", ".jit", ".pkl", ".png")
NOBODY = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.com")


def programs(folder: Path) -> Path:
    """A new environment with the validators; where its programs lie."""
    venv.create(folder, with_pip=True)
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    subprocess.run([scripts / "python", "-m", "pip", "install", "--quiet", *TOOLS], check=True)
    # it would ask on its first run, and then report what is done
    subprocess.run([scripts / "comfy", "--skip-prompt", "tracking", "disable"], cwd=ROOT)
    return scripts


def unpacked(folder: Path) -> Path:
    """An installation of ComfyUI with nothing in it but the pack, as the registry packs it; the pack's folder."""
    pack = folder / "custom_nodes" / "ar-guidance"
    with zipfile.ZipFile(io.BytesIO(packed(files()))) as file:
        file.extractall(pack)
    (folder / "main.py").touch()
    return pack


def repository_of_host(folder: Path) -> None:
    """The newest host's files as one commit: comfy-import-guard reads ComfyUI out of a repository in its cache folder."""
    place = folder / "ComfyUI"
    shutil.copytree(NEWEST.folder, place, ignore=shutil.ignore_patterns("__pycache__", "models"))
    for command in (
        ("init", "--quiet"),
        ("add", "--all"),
        (*NOBODY, "commit", "--quiet", "-m", "x"),
    ):
        subprocess.run(["git", *command], cwd=place, check=True, stderr=subprocess.DEVNULL)


def checks(folder: Path, pack: Path, host: HostProcess) -> Iterator[tuple[str, ...]]:
    """The commands, each to be run in the pack's folder."""
    yield ("comfy", "node", "validate")
    yield ("comfy-test", "lint", ".", "--strict")
    cache, install = str(folder / "cache"), str(pack.parents[1])
    guard = ("comfy-import-guard", "--offline", "--cache-dir", cache, "check", "--strict")
    yield (*guard, "--no-update", "--target", "HEAD", "--comfy-dir", install)
    workflows = sorted((pack / "workflows" / "api").glob("*.json"))
    schema = folder / "object_info.json"
    schema.write_text(json.dumps(adapted(HostClient(host.url).object_info(), workflows)))
    yield ("comfy-lint", "--strict", "--schema-cache", str(schema), *map(str, workflows))


def adapted(nodes: dict[str, Any], workflows: Sequence[Path]) -> dict[str, Any]:
    """The host's nodes as comfy-lint can compare them with workflows.

    It knows no inputs that take one of two types (of the host's own nodes neither), which become inputs of any type; and files
    that the workflows name, of released models and images of the user's, count as there.
    """
    for node in nodes.values():
        for inputs in node["input"].values():
            for entry in inputs.values():
                if isinstance(entry[0], str) and "," in entry[0]:
                    entry[0] = "*"
    for path in workflows:
        for node in json.loads(path.read_text(encoding="utf-8")).values():
            for inputs in nodes[node["class_type"]]["input"].values():
                for name, value in node["inputs"].items():
                    if name in inputs and str(value).endswith(NAMED):
                        _choices(inputs[name]).append(value)
    return nodes


def _choices(entry: list[Any]) -> list[Any]:
    """The list of a combo's choices, in either of the host's two forms."""
    return entry[0] if isinstance(entry[0], list) else entry[1]["options"]


def main() -> int:
    """The number of checks that failed."""
    size = len(packed(files()))
    say(f"archive: {size / 1e6:.1f} MB, at most {LARGEST / 1e6:.0f}")
    prepare_environment()
    prepare_host(NEWEST)
    failed = size > LARGEST
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scripts, pack = programs(folder / "tools"), unpacked(folder / "install")
        repository_of_host(folder / "cache")
        host = start_host(NEWEST, folder / "host")
        try:
            for program, *arguments in checks(folder, pack, host):
                say(f"== {' '.join((program, *arguments[:4]))}")
                failed += subprocess.run([scripts / program, *arguments], cwd=pack).returncode != 0
        finally:
            host.stop()
    return failed


if __name__ == "__main__":
    sys.exit(main())
