"""Writing the trained weights as the files of the `bundled` folder."""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor

from .checkpoint import load_state, save_weights
from .groups import labels
from .token_codec import CONFIG as CODEC
from .token_transformer import CONFIG as TOKENWISE
from .tokenizer import CONFIG as TOKENIZER

NAME = "Emoji 64"
LICENCE = "Apache-2.0 AND MIT (trained on Noto Emoji and Fluent Emoji; see bundled/LICENSES.md)"

TRANSFORMER_VERSION = "2"  # 1: before its second course of training

# Preselected in the sampler: the best row of the model card's table.
DEFAULTS = {"scale": 4.0, "schedule": "linear ramp", "top_k": 0, "top_p": 0.9}
TOKENWISE_DEFAULTS = {"scale": 4.0, "schedule": "constant", "top_k": 0, "top_p": 1.0}


def _metadata(
    part: str, defaults: dict, groups: int, version: str = "1", **own: object
) -> dict[str, str]:
    """Text entries of a file's header; `own` are those of its layout."""
    preselected = {"defaults": json.dumps(defaults)} if part == "transformer" else {}
    return {key: str(value) for key, value in (preselected | own).items()} | {
        "format": "pt",
        "name": NAME,
        "part": part,
        "version": version,
        "norm_groups": str(groups),
        "labels": json.dumps(labels()),
        "label_set": "Emoji",
        "licence": LICENCE,
    }


def release_tokenizer(work: Path, target: Path) -> None:
    """`emoji_tokenizer.safetensors` from the newest tokenizer checkpoint."""
    metadata = _metadata("tokenizer", DEFAULTS, TOKENIZER.norm_groups)
    _store_average(work / "tokenizer.pt", target / "emoji_tokenizer.safetensors", metadata)


def release_transformer(weights: dict[str, Tensor], target: Path) -> None:
    """`emoji_var.safetensors` from weights in the family's layout."""
    metadata = _metadata("transformer", DEFAULTS, TOKENIZER.norm_groups, TRANSFORMER_VERSION)
    save_weights(target / "emoji_var.safetensors", weights, metadata)


def release_token_codec(work: Path, target: Path) -> None:
    """`emoji_vq.safetensors` from the newest checkpoint of the token-wise model's codec."""
    metadata = _metadata("tokenizer", TOKENWISE_DEFAULTS, CODEC.norm_groups)
    _store_average(work / "token_codec.pt", target / "emoji_vq.safetensors", metadata)


def release_token_transformer(weights: dict[str, Tensor], target: Path) -> None:
    """`emoji_llamagen.safetensors`; heads and side of the grid leave no trace in the shapes."""
    sizes = {"heads": TOKENWISE.heads, "side": TOKENWISE.grid[0]}
    metadata = _metadata("transformer", TOKENWISE_DEFAULTS, CODEC.norm_groups, **sizes)
    save_weights(target / "emoji_llamagen.safetensors", weights, metadata)


def _store_average(checkpoint: Path, path: Path, metadata: dict[str, str]) -> None:
    state = load_state(checkpoint)
    if state is None:
        raise FileNotFoundError(f"no {checkpoint.name} in {checkpoint.parent}: train it first")
    save_weights(path, state["average"]["weights"], metadata)
