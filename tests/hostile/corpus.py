"""Files that are not what they should be, each built from a small model of the tests by one function.

Every builder gets an empty folder and gives the file to offer. Nothing here can harm: what a pickle would call leaves an empty
file called `MARKER` in that folder, and sizes that lie stand in files of a few kilobytes.
"""

from __future__ import annotations

import functools
import json
import math
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


WHOLE = tensors(lambda s: None)
ZIP, LEGACY = torch_file(state), torch_file(state, _use_new_zipfile_serialization=False)
DEEP = "[" * 100_000

CUTS = {
    **{
        f"safetensors {k}": v
        for k, v in cut(WHOLE, [0, 1, 7, 8, 9, 100, 0.25, 0.5, 0.9, -1]).items()
    },
    **{f"torch archive {k}": v for k, v in cut(ZIP, [4, 30, 100, 0.5, -22, -1]).items()},
    **{f"old torch file {k}": v for k, v in cut(LEGACY, [2, 12, 20, 0.1, 0.5, -1]).items()},
}
HEADERS = {
    "header of no length": header(lambda e: None, 0),
    "header longer than the file": header(lambda e: None, 1 << 20),
    "header of 2^63 bytes": header(lambda e: None, 1 << 63),
    "header that is a list": header(lambda e: [1, 2]),
    "header that is empty": header(lambda e: {}),
    "offsets that overlap": lied(data_offsets=[0, 96]),
    "offsets that run backwards": lied(data_offsets=[96, 0]),
    "offsets beyond the end": lied(data_offsets=[HUGE, HUGE + 96]),
    "offsets below zero": lied(data_offsets=[-96, 0]),
    "offsets that are texts": lied(data_offsets=["a", "b"]),
    "ten gigabytes in a kilobyte": lied(shape=[HUGE // 4]),
    "a shape below zero": lied(shape=[-24]),
    "a shape that is a text": lied(shape="24"),
    "a shape whose product overflows": lied(shape=[1 << 40, 1 << 40]),
    "a type nobody knows": lied(dtype="F13"),
    "no type": header(lambda e: e["head.bias"].pop("dtype")),
    "metadata that is a number": header(lambda e: e.update({"__metadata__": 3})),
}
SHAPES = {
    "a key missing": tensors(lambda s: s.pop("head.bias")),
    "a key too many": tensors(replaced(blocks__0__gate=torch.zeros(1))),
    "a matrix transposed": tensors(
        lambda s: s.update({"word_embed.weight": s["word_embed.weight"].T.contiguous()})
    ),
    "a matrix as a line": tensors(shuffled("word_embed.weight")),
    "a level table of one dimension": tensors(shuffled("lvl_embed.weight")),
    "a bias without dimensions": tensors(replaced(head__bias=torch.tensor(1.0))),
    "a bias without numbers": tensors(replaced(head__bias=torch.zeros(0))),
    "weights of 8-bit integers": tensors(replaced(head__bias=torch.zeros(24, dtype=torch.int8))),
    "8-bit floats whose scale is missing": tensors(
        replaced(
            head__weight=torch.zeros(24, 32).to(torch.float8_e4m3fn), scaled_fp8=torch.zeros(2)
        )
    ),
    "weights of yes and no": tensors(replaced(head__bias=torch.zeros(24, dtype=torch.bool))),
    "weights of complex numbers": torch_file(
        lambda: {**state(), "head.bias": torch.zeros(24, dtype=torch.complex64)}
    ),
    "weights that are NaN": tensors(number_at("head.weight", math.nan)),
    "weights that are infinite": tensors(number_at("head.weight", math.inf)),
    "one number for a whole matrix": torch_file(
        lambda: {**state(), "head.weight": torch.zeros(1).expand(state()["head.weight"].shape)}
    ),
    "ten gigabytes of one number": torch_file(
        lambda: {**state(), "head.weight": torch.zeros(1).expand(HUGE // 128, 32)}
    ),
    "levels of a million scales": tensors(replaced(lvl_1L=torch.tensor([[0, 10**12]]))),
    "levels below zero": tensors(replaced(lvl_1L=torch.tensor([[-5, 0]]))),
    "levels that are not there": tensors(replaced(lvl_1L=torch.zeros(1, 0, dtype=torch.int64))),
    "a key of a megabyte": tensors(
        lambda s: s.update({"blocks.0." + "x" * (1 << 20): torch.zeros(1)})
    ),
    "a key that hides what follows": tensors(
        lambda s: s.update({"blocks.0.\n\x1b[2J\u202e": torch.zeros(1)})
    ),
    "keys that are empty": tensors(
        lambda s: (s.clear(), s.update({".": torch.zeros(1), "": torch.zeros(2)}))
    ),
    "no tensors at all": torch_file(dict),
    "a number": torch_file(lambda: 3),
    "a list of tensors": torch_file(lambda: [torch.zeros(2)]),
    "dictionaries nested 200 deep": torch_file(lambda: nested(200)),
    "a dictionary that holds itself": torch_file(cyclic),
    "an archive packed again": packed_again,
    "an archive that expands a thousandfold": zeros_packed,
}
OTHER = {
    "a web page": written("model.safetensors", b"<!doctype html><p>404"),
    "a Git LFS pointer": written("model.pth", b"version https://git-lfs.github.com/spec/v1\n"),
    "a GGUF file": written("model.bin", b"GGUF" + bytes(64)),
    "a packed file": written("model.ckpt", b"\x1f\x8b\x08" + bytes(64)),
    "an image": written("model.pt", b"\x89PNG\r\n\x1a\n" + bytes(64)),
    "zeros": written("model.sft", bytes(4096)),
    "words": written("model.jit", b"hello"),
    "a folder": directory("model.safetensors"),
    "a link to nothing": linked("nowhere"),
    "a link to itself": linked("model.safetensors"),
    "a link to a system file": linked("/etc/hostname"),
    "a long name": written("x" * 200 + ".safetensors", b"no"),
    "a name in another script": written("\u6a21\u578b\u202e\U0001f600.safetensors", b"no"),
    "markup in a name": written("<img src=x onerror=alert(1)>.safetensors", b"no"),
    "a line break in a name": written("a\nb.safetensors", b"no"),
    "a name that claims 99,999 files": written("model-00001-of-99999.safetensors", b"no"),
    "an index without a map": beside("model.safetensors.index.json", "{}"),
    "an index nested deep": beside("model.safetensors.index.json", DEEP),
    "an index of 99,999 files": index({str(n): f"{n}.safetensors" for n in range(99_999)}),
    "an index of files elsewhere": index({"a": "../../../etc/hostname"}),
    "an index of numbers": index({"a": 1, "b": None}),
}


def marking(suffix: str, form: str) -> Build:
    def build(folder: Path) -> Path:
        path = folder / f"model{suffix}"
        content = {**state(), "extra": Call()} if form == "in a checkpoint" else Call()
        if form == "alone":
            path.write_bytes(pickle.dumps(content))
        else:
            torch.save(content, path)
        return path

    return build


PICKLES = {
    f"a call in a pickle {form}, as {suffix}": marking(suffix, form)
    for suffix in SUFFIXES
    for form in ("alone", "in a checkpoint")
}
TOKENS = {
    "tokens below zero": token_file(step_1=torch.full((1, 4), -1)),
    "tokens that are floats": token_file(step_1=torch.zeros(1, 4)),
    "tokens of another number": token_file(step_1=torch.zeros(1, 5, dtype=torch.int16)),
    "tokens of another batch": token_file(step_1=torch.zeros(2, 4, dtype=torch.int16)),
    "grids of a billion": token_file({"grids": "[[1000000000, 1000000000]]"}),
    "grids nested deep": token_file({"grids": DEEP}),
    "grids that are texts": token_file({"grids": '[["1", "1"]]'}),
    "grids that are no JSON": token_file({"grids": "{"}),
    "no grids": token_file({"grids": None}),
    "tokens of a kind nobody knows": token_file({"kind": "x" * 10_000}),
    "tokens of another format": token_file({"format": "ar_tokens 2\n\x1b[31m"}),
    "no format": token_file({"format": None}),
    "a feature map of NaN": token_file(features=torch.full((1, 2, 2, 2), math.nan)),
}
TRANSFORMERS: dict[str, Build] = {**CUTS, **HEADERS, **SHAPES, **OTHER, **PICKLES}
