"""Tokens in safetensors files: written whole or not at all, and read with nothing taken on trust."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ..loaders.quote import quoted, reason
from ..loaders.read import Weights, read_weights
from ..loaders.writing import write_new
from ..models.family import Kind
from .tokens import ImageTokens

Read = TypeVar("Read")
FORMAT = "ar_tokens 1"
ANOTHER = "Load another copy of it, or save the tokens again with AR Save Tokens"


def compact(step: Tensor) -> Tensor:
    """Tokens in the smallest integer type that holds them."""
    largest = int(step.max()) if step.numel() else 0
    kinds = ((torch.uint8, 1 << 8), (torch.int16, 1 << 15), (torch.int32, 1 << 31))
    return step.to(next((kind for kind, end in kinds if largest < end), torch.int64)).contiguous()


def write_tokens(tokens: ImageTokens, path: Path, more: dict[str, str] | None = None) -> None:
    """Save tokens; `more`: further text for the file's header. The file is complete or not there.

    Raises:
        FileExistsError: there is one already; it is left as it is.
        ValueError: there can be no such file; the message says why.
    """
    tensors = {f"step.{k}": compact(step) for k, step in enumerate(tokens.steps)}
    if tokens.features is not None:
        tensors["features"] = tokens.features.float().contiguous()
    facts = {
        "format": FORMAT,
        "kind": tokens.kind,
        "grids": json.dumps(tokens.grids),
        "codec": tokens.codec,
        "family": tokens.family,
    }
    try:
        write_new(path, lambda place: save_file(tensors, place, (more or {}) | facts))
    except FileExistsError:
        raise
    except (OSError, ValueError, SafetensorError) as error:
        raise ValueError(not_written(path.name, error)) from error


def not_written(name: str, error: Exception) -> str:
    """Why there is no file of a name."""
    return (
        f"the tokens could not be saved as {quoted(name, 60)}: {reason(error)}. Choose another, shorter filename_prefix, and"
        " check whether the disk is full or the folder is write-protected"
    )


def read_tokens(path: Path) -> ImageTokens:
    """Tokens from a file that AR Save Tokens made.

    Raises:
        ValueError: it is not one, or it is damaged; the message names the file and what is wrong.
    """
    weights = _or_refuse(
        path, lambda: read_weights(path), "this file is damaged or holds no tokens"
    )
    facts = weights.metadata
    if facts.get("format") != FORMAT:
        found = (
            f"its format is '{quoted(facts['format'])}'"
            if "format" in facts
            else "it has no such header"
        )
        raise ValueError(
            f"{quoted(path.name)}: this file was not made by AR Save Tokens ({found}). Choose one that was;"
            " model files go into AR Load Checkpoint"
        )
    return _or_refuse(path, lambda: _parsed(weights), "this file of tokens is damaged")


def _or_refuse(path: Path, read: Callable[[], Read], what: str) -> Read:
    try:
        return read()
    except Exception as error:  # whatever a file's bytes lead to, it is the file that is damaged
        cause = error.__cause__ or error
        why = getattr(cause, "short", None) or reason(cause)
        raise ValueError(f"{quoted(path.name)}: {what}: {why}. {ANOTHER}") from error


def _parsed(weights: Weights) -> ImageTokens:
    facts, tensors = weights.metadata, weights.tensors
    grids = tuple(_grid(entry) for entry in json.loads(facts["grids"]))
    count = sum(name.startswith("step.") for name in tensors)
    steps = tuple(_step(tensors[f"step.{k}"]) for k in range(max(count, len(grids))))
    features = tensors.get("features")
    if features is not None and not (features.is_floating_point() and features.isfinite().all()):
        raise ValueError("its feature map does not hold finite numbers")
    # Copies: what is kept must not lie in the file, which could not be replaced then on some systems.
    kept = None if features is None else features.clone()
    return ImageTokens(
        cast(Kind, facts["kind"]), grids, steps, facts["codec"], facts["family"], kept
    )


def _grid(entry: object) -> tuple[int, int]:
    if not isinstance(entry, list) or [type(side) for side in entry] != [int, int]:
        raise ValueError("a grid is not two whole numbers")
    return entry[0], entry[1]


def _step(tensor: Tensor) -> Tensor:
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dim() not in (2, 3):
        raise ValueError("it holds numbers that are not tokens")
    if tensor.numel() and int(tensor.min()) < 0:
        raise ValueError("it holds tokens below 0")
    return tensor.to(torch.long, copy=True)
