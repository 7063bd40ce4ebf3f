#!/usr/bin/env python3
"""Convert a torch checkpoint that holds Python objects to .safetensors, once, for a file you trust.

    python -m tools.convert_checkpoint model.pth [model.safetensors]

Opening such a file can run code that its author put there: the nodes never do it. Run this only on files from people
you trust, with the Python that ComfyUI uses. Tensors of nested dictionaries are stored under dotted names; what is left out
(optimiser states, numbers, texts, Python objects) is listed. The source is never touched, nor any other file that is there.

A release file of EDM2 (.pkl) is read as the nodes read it, which runs nothing, and its constructor's arguments are kept.
"""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from .pack import load_pack

OPTIMISER = ("optimizer", "optim", "opt")


def is_optimiser(name: str) -> bool:
    """Whether an entry of a training checkpoint is an optimiser's state."""
    return any(part in OPTIMISER for part in name.lower().replace("_", ".").split("."))


def entries(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Everything in nested dictionaries under its dotted name; an optimiser's state as one entry."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            name = f"{prefix}{key}"
            if is_optimiser(str(key)):
                yield name, value
            else:
                yield from (
                    entries(value, f"{name}.") if isinstance(value, Mapping) else [(name, value)]
                )
    else:
        yield prefix.removesuffix(".") or "the file itself", tree


def is_weight(name: str, value: Any) -> bool:
    """Whether an entry is kept."""
    return isinstance(value, torch.Tensor) and not is_optimiser(name.rpartition(".")[2])


def content(source: Path) -> tuple[dict[str, torch.Tensor], dict[str, str], list[str]]:
    """Tensors of a file, what the new file's header says beside them, and what is left out."""
    load_pack()
    from ar_guidance.loaders import kinds, read

    try:
        kind = kinds.kind_of(source)
    except (kinds.Unreadable, OSError) as error:
        raise SystemExit(f"{source}: {error}") from error
    if kind == kinds.SAFETENSORS:
        raise SystemExit(
            f"{source}: this is a .safetensors file already; nothing is to be converted"
        )
    if kind in (kinds.PICKLE, kinds.PROGRAM):  # read as data, whoever it is from
        weights = read.read_weights(source)
        return (
            {key: value.clone().contiguous() for key, value in weights.tensors.items()},
            weights.metadata,
            [],
        )
    found = dict(entries(torch.load(source, map_location="cpu", weights_only=False)))
    kept = {k: v.detach().clone().contiguous() for k, v in found.items() if is_weight(k, v)}
    return kept, {}, [name for name in found if name not in kept]


def convert(source: Path, target: Path) -> str:
    """Write the new file; what to tell.

    Raises:
        SystemExit: there is such a file, or nothing to convert.
    """
    load_pack()
    from ar_guidance.loaders.quote import listed
    from ar_guidance.loaders.writing import write_new

    if target.exists():
        raise SystemExit(
            f"{target}: there is such a file already, and it is left as it is. Name another target"
        )
    tensors, metadata, left_out = content(source)
    if not tensors:
        raise SystemExit(f"{source}: no tensors in this file")
    try:
        write_new(target, lambda place: save_file(tensors, place, metadata or None))
    except OSError as error:
        raise SystemExit(
            f"{target}: it could not be written ({error}); nothing was left behind"
        ) from error
    more = f"; left out: {listed(left_out, 12)}" if left_out else ""
    return f"{target}: {len(tensors)} tensors{more}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path, nargs="?")
    options = parser.parse_args()
    print(convert(options.source, options.target or options.source.with_suffix(".safetensors")))


if __name__ == "__main__":
    main()
