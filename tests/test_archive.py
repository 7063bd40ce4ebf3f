"""What the registry's archive holds: all that a user's ComfyUI reads, and little else."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from ar_guidance.tools.dev.archive import LARGEST, ROOT, files, packed
from PIL import Image
from safetensors.torch import load_file

PACK = ("analysis", "conditioning", "guidance", "imaging", "loaders", "models", "nodes", "sampling")
SHOWN = ("bundled", "locales", "subgraphs", "web", "workflows")

pytestmark = pytest.mark.skipif(
    not (ROOT / ".git").exists() or shutil.which("git") is None, reason="not a git checkout"
)


def new_files() -> list[str]:
    """Those that will be in it once they are added."""
    command = ["git", "ls-files", "-z", "--others", "--exclude-standard", "--"]
    done = subprocess.run([*command, *PACK, *SHOWN], cwd=ROOT, capture_output=True, check=True)
    return done.stdout.decode("utf-8").split("\0")


def test_it_is_small_and_holds_no_tests() -> None:
    names = files()
    assert len(packed(names)) <= LARGEST
    left_out = ("tests/", "benchmarks/", "findings/", ".ci/", ".github/", "docs/")
    assert not [name for name in names if name.startswith(left_out)]


def test_it_holds_every_file_of_the_pack() -> None:
    names = {*files(), *new_files()}
    for folder in (*PACK, *SHOWN):
        inside = {
            path.relative_to(ROOT).as_posix()
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert inside and inside <= names, sorted(inside - names)
    assert {"__init__.py", "pyproject.toml", "LICENSE", "README.md", "requirements.txt"} <= names


def test_the_converter_works_from_the_archive(tmp_path: Path) -> None:
    archive = tmp_path / "pack.zip"
    archive.write_bytes(packed(files()))
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path / "pack")
    torch.save({"model": {"weight": torch.ones(3)}}, tmp_path / "old.pth")
    command = [sys.executable, "-m", "tools.convert_checkpoint", str(tmp_path / "old.pth")]
    done = subprocess.run(command, cwd=tmp_path / "pack", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (made,) = load_file(tmp_path / "old.safetensors").values()
    assert torch.equal(made, torch.ones(3))


def test_icon_and_banner_have_the_registry_s_shapes() -> None:
    icon, banner = (Image.open(ROOT / "docs/images" / f"{name}.png") for name in ("icon", "banner"))
    assert icon.width == icon.height <= 400
    assert banner.width * 9 == banner.height * 21
