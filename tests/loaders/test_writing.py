"""Files of ours are whole or absent, and never over another; the converter keeps to that."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ar_guidance.imaging import token_file
from ar_guidance.loaders.writing import write_new
from ar_guidance.tests.imaging.test_token_file import some
from ar_guidance.tools.convert_checkpoint import convert
from safetensors import safe_open
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[2]


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "a", lambda place: place.write_text("new") and None)
    assert (tmp_path / "a").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_one_that_appears_meanwhile_stays_too(tmp_path: Path) -> None:
    def write(place: Path) -> None:
        place.write_text("new")
        (tmp_path / "a").write_text("other")

    with pytest.raises(FileExistsError):
        write_new(tmp_path / "a", write)
    assert (tmp_path / "a").read_text() == "other" and len(list(tmp_path.iterdir())) == 1


def test_what_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def write(place: Path) -> None:
        place.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_new(tmp_path / "a", write)
    assert list(tmp_path.iterdir()) == []


def test_without_hard_links_it_is_written_as_well(tmp_path: Path, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refuse)
    write_new(tmp_path / "a", lambda place: place.write_text("new") and None)
    assert (tmp_path / "a").read_text() == "new"


def test_a_full_disk_says_so_and_leaves_no_tokens(tmp_path: Path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(token_file, "save_file", full)
    with pytest.raises(ValueError, match="could not be saved as a.safetensors: .*No space left"):
        token_file.write_tokens(some(), tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


# --- the converter ----------------------------------------------------------------------------------------------------


def test_the_converter_leaves_source_and_others_alone_and_says_what_it_left_out(
    tmp_path: Path,
) -> None:
    source, target = tmp_path / "x.pth", tmp_path / "x.safetensors"
    torch.save(
        {"model": {"a": torch.ones(2)}, "optimizer": {"state": {0: torch.ones(3)}}, "epoch": 3},
        source,
    )
    before = source.read_bytes()
    said = convert(source, target)
    assert "1 tensors; left out: optimizer, epoch" in said and source.read_bytes() == before
    with safe_open(target, "pt") as file:
        assert list(file.keys()) == ["model.a"]
    kept = target.read_bytes()
    with pytest.raises(SystemExit, match="is left as it is"):
        convert(source, target)
    assert target.read_bytes() == kept


def test_the_converter_does_not_rewrite_a_safetensors_file(tmp_path: Path) -> None:
    source = tmp_path / "x.safetensors"
    save_file({"a": torch.ones(2)}, source, {"labels": "[]"})
    before = source.read_bytes()
    for target in (source, tmp_path / "y.safetensors"):
        with pytest.raises(SystemExit):
            convert(source, target)
    assert source.read_bytes() == before and not (tmp_path / "y.safetensors").exists()


def test_the_converter_as_a_command(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2), "args": pickle.PickleBuffer}, tmp_path / "x.pth")
    command = [sys.executable, "-m", "tools.convert_checkpoint", str(tmp_path / "x.pth")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "left out: args" in done.stdout, done.stderr
