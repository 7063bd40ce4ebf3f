"""Which files a model depends on besides the one that was chosen."""

import json
import re
from pathlib import Path

import pytest
import torch
from ar_guidance.loaders import read
from ar_guidance.loaders.read import BESIDE, files_of, read_weights
from safetensors.torch import save_file

LOADERS = Path(read.__file__).parent


def test_every_name_the_loaders_know_is_in_the_one_list() -> None:
    named = re.compile(r'"(\w[\w.]*\.(?:json|txt|model))"')
    found = {
        name
        for file in LOADERS.glob("*.py")
        for name in named.findall(file.read_text(encoding="utf-8"))
    }
    assert found - {read.INDEX, "imagenet.txt"} == set(BESIDE)  # the labels are the pack's own


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> set[Path]:
    """What was asked whether it is there, or read as text."""
    asked: set[Path] = set()
    for name in ("is_file", "read_text", "open"):
        own = getattr(Path, name)

        def watch(path: Path, *args, own=own, **options):
            asked.add(path)
            return own(path, *args, **options)

        monkeypatch.setattr(Path, name, watch)
    return asked


def shards(folder: Path) -> list[Path]:
    folder.mkdir()
    names = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    for key, name in zip("ab", names, strict=True):
        save_file({key: torch.zeros(1)}, folder / name)
    places = {"weight_map": dict(zip("ab", names, strict=True))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(places))
    return [folder / "model.safetensors.index.json", folder / names[1]]


def test_what_reading_a_model_looks_at_is_among_its_files(tmp_path, opened) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "flat.safetensors")
    for path in (tmp_path / "flat.safetensors", *shards(tmp_path / "several")):
        opened.clear()
        weights = read_weights(path)
        assert (weights.settings, weights.generation, weights.vocabulary) == ({}, {}, {})
        files = set(files_of(path))
        assert opened <= files and len(opened) > 4
        assert {file.name for file in files} >= set(BESIDE)


def test_all_pieces_of_a_model_count(tmp_path) -> None:
    index, shard = shards(tmp_path / "several")
    pieces = sorted((tmp_path / "several").glob("*.safetensors"))
    assert set(pieces) | {index} <= set(files_of(index))
    assert set(pieces) <= set(files_of(shard))
    assert tmp_path / "encoder.jit" in files_of(tmp_path / "decoder.jit")
    index.write_text("no index")
    assert files_of(index)[0] == index
