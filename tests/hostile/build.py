"""Files that are not what they should be, each built from a small model of the tests by one function.

Every builder gets an empty folder and gives the file to offer. Nothing here can harm: what a pickle would call leaves an empty
file called `MARKER` in that folder, and sizes that lie stand in files of a few kilobytes.
"""

from __future__ import annotations

import functools
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from ar_guidance.imaging.token_file import FORMAT
from ar_guidance.tests.tiny import tiny_var
from safetensors.torch import save, save_file
from torch import Tensor

Build = Callable[[Path], Path]
MARKER = "a pickle was run"
SUFFIXES = (".safetensors", ".sft", ".pth", ".pt", ".bin", ".ckpt", ".jit", ".pkl")
HUGE = 10 * 1024**3  # bytes claimed by files of a few kilobytes


@functools.cache
def state() -> dict[str, Tensor]:
    """Weights of a tiny VAR transformer."""
    return {key: value.contiguous() for key, value in tiny_var().network.state_dict().items()}


def written(name: str, content: bytes) -> Build:
    def build(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return build


def tensors(
    change: Callable[[dict[str, Tensor]], Any], metadata: dict[str, str] | None = None
) -> Build:
    """A safetensors file of the weights after a change in place."""

    def build(folder: Path) -> Path:
        changed = dict(state())
        change(changed)
        save_file(changed, folder / "model.safetensors", metadata)
        return folder / "model.safetensors"

    return build


def torch_file(content: Callable[[], Any], name: str = "model.pth", **options: Any) -> Build:
    def build(folder: Path) -> Path:
        torch.save(content(), folder / name, **options)
        return folder / name

    return build


def cut(whole: Build, places: list[int | float]) -> dict[str, Build]:
    """The file cut off at each place: bytes from its start, from its end where negative, a share where a fraction."""

    def at(place: int | float) -> Build:
        def build(folder: Path) -> Path:
            path = whole(folder)
            content = path.read_bytes()
            end = int(place * len(content)) if isinstance(place, float) else place
            path.write_bytes(content[:end])
            return path

        return build

    return {f"cut at {place}": at(place) for place in places}


def header(change: Callable[[dict[str, Any]], Any], length: int | None = None) -> Build:
    """A safetensors file whose header was changed, and perhaps its stated length."""

    def build(folder: Path) -> Path:
        content = save(state())
        (size,) = struct.unpack("<Q", content[:8])
        entries = json.loads(content[8 : 8 + size])
        changed = change(entries)
        text = json.dumps(entries if changed is None else changed).encode()
        stated = len(text) if length is None else length
        path = folder / "model.safetensors"
        path.write_bytes(struct.pack("<Q", stated) + text + content[8 + size :])
        return path

    return build


def lied(**changes: Any) -> Build:
    """A header whose entry of one tensor was changed."""
    return header(lambda entries: entries["head.bias"].update(changes))


def beside(name: str, text: str, build: Build | None = None) -> Build:
    """A broken neighbour of a file that needs it."""

    def both(folder: Path) -> Path:
        (folder / name).write_text(text, encoding="utf-8")
        return folder / name if build is None else build(folder)

    return both


class Call:
    """What unpickling would run: it creates `MARKER` in the current folder."""

    def __reduce__(self) -> Any:
        return open, (MARKER, "w")


def shuffled(name: str) -> Callable[[dict[str, Tensor]], Any]:
    return lambda s: s.update({name: s[name].flatten()})


def replaced(**values: Any) -> Callable[[dict[str, Tensor]], Any]:
    return lambda s: s.update({key.replace("__", "."): value for key, value in values.items()})


def number_at(name: str, value: float) -> Callable[[dict[str, Tensor]], Any]:
    def change(s: dict[str, Tensor]) -> None:
        s[name] = s[name].clone()
        s[name].view(-1)[3] = value

    return change


def nested(depth: int) -> dict[str, Any]:
    tree: dict[str, Any] = {"a": torch.zeros(1)}
    for _ in range(depth):
        tree = {"a": tree}
    return tree


def cyclic() -> dict[str, Any]:
    tree: dict[str, Any] = {}
    tree["a"] = tree
    return tree


def packed_again(folder: Path) -> Path:
    torch.save(state(), folder / "whole.pth")
    path = folder / "model.pth"
    with (
        zipfile.ZipFile(folder / "whole.pth") as old,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for part in old.infolist():
            new.writestr(part.filename, old.read(part))
    return path


def zeros_packed(folder: Path) -> Path:
    """An archive of a few kilobytes that expands to a gigabyte of zeros."""
    path = folder / "model.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new:
        new.writestr("model/data.pkl", pickle.dumps({}, 2))
        with new.open("model/data/0", "w", force_zip64=True) as part:
            for _ in range(64):
                part.write(bytes(1 << 20))
    return path


def linked(target: str) -> Build:
    def build(folder: Path) -> Path:
        os.symlink(target, folder / "model.safetensors")
        return folder / "model.safetensors"

    return build


def directory(name: str) -> Build:
    def build(folder: Path) -> Path:
        (folder / name).mkdir()
        return folder / name

    return build


def index(places: Any) -> Build:
    name = "model.safetensors.index.json"
    return beside(name, json.dumps({"weight_map": places}))


def token_file(metadata: dict[str, str | None] | None = None, **steps: Tensor) -> Build:
    """A file of AR Save Tokens with other facts or tensors."""

    def build(folder: Path) -> Path:
        facts = {
            "format": FORMAT,
            "kind": "scale",
            "grids": "[[1, 1], [2, 2]]",
            "codec": "c",
            "family": "VAR",
        }
        facts |= metadata or {}
        kept = {
            "step.0": torch.zeros(1, 1, dtype=torch.int16),
            "step.1": torch.zeros(1, 4, dtype=torch.int16),
        }
        kept |= {name.replace("_", "."): value for name, value in steps.items()}
        path = folder / "tokens.safetensors"
        save_file(kept, path, {k: v for k, v in facts.items() if v is not None})
        return path

    return build
