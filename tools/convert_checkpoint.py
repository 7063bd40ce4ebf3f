#!/usr/bin/env python3
"""Convert a torch checkpoint that holds Python objects to .safetensors, once, for a file you trust.

    python -m tools.convert_checkpoint model.pth [model.safetensors]

Opening such a file can run code that its author put there: the nodes never do it. Run this only on files from people
you trust, with the Python that ComfyUI uses. Tensors of nested dictionaries are stored under dotted names.

A release file of EDM2 (.pkl) is read as the nodes read it, which runs nothing, and its constructor's arguments are kept.
"""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from .pack import load_pack


def tensors(tree: Any, prefix: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor under its dotted name; optimiser states are left out."""
    if isinstance(tree, torch.Tensor):
        yield prefix[:-1], tree.detach().clone().contiguous()
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            if "opt" not in str(key).lower():
                yield from tensors(value, f"{prefix}{key}.")


def content(source: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors of a file, and what the new file's header says beside them."""
    if source.suffix == ".pkl":
        load_pack()
        from ar_guidance.loaders.read import read_weights

        weights = read_weights(source)
        return {key: value.clone() for key, value in weights.tensors.items()}, weights.metadata
    return dict(tensors(torch.load(source, map_location="cpu", weights_only=False))), {}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path, nargs="?")
    options = parser.parse_args()
    target = options.target or options.source.with_suffix(".safetensors")
    found, metadata = content(options.source)
    if not found:
        raise SystemExit(f"{options.source}: no tensors in this file")
    save_file(found, target, metadata or None)
    print(f"{target}: {len(found)} tensors")


if __name__ == "__main__":
    main()
