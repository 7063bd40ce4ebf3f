"""The hostile files of `build`, by what is wrong with them.

Every builder gets an empty folder and gives the file to offer. Nothing here can harm: what a pickle would call leaves an empty
file called `MARKER` in that folder, and sizes that lie stand in files of a few kilobytes.
"""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import torch
from ar_guidance.tests.hostile.build import (
    HUGE,
    SUFFIXES,
    Build,
    Call,
    beside,
    cut,
    cyclic,
    directory,
    header,
    index,
    lied,
    linked,
    nested,
    number_at,
    packed_again,
    replaced,
    shuffled,
    state,
    tensors,
    token_file,
    torch_file,
    written,
    zeros_packed,
)

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
