"""Writing the trained weights as the two files of the `bundled` folder."""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor

from .checkpoint import load_state, save_weights
from .groups import labels
from .tokenizer import CONFIG as TOKENIZER

NAME = "Emoji 64"
LICENCE = "Apache-2.0 AND MIT (trained on Noto Emoji and Fluent Emoji; see bundled/LICENSES.md)"

# Preselected in the sampler: the best row of the model card's table.
DEFAULTS = {"scale": 4.0, "schedule": "linear ramp", "top_k": 0, "top_p": 0.9}


def _metadata(part: str) -> dict[str, str]:
    own = {"defaults": json.dumps(DEFAULTS)} if part == "transformer" else {}
    return own | {
        "format": "pt",
        "name": NAME,
        "part": part,
        "version": "1",
        "norm_groups": str(TOKENIZER.norm_groups),
        "labels": json.dumps(labels()),
        "label_set": "Emoji",
        "licence": LICENCE,
    }


def release_tokenizer(work: Path, target: Path) -> None:
    """`emoji_tokenizer.safetensors` from the newest tokenizer checkpoint."""
    state = load_state(work / "tokenizer.pt")
    if state is None:
        raise FileNotFoundError(f"no tokenizer.pt in {work}: train the tokenizer first")
    path = target / "emoji_tokenizer.safetensors"
    save_weights(path, state["average"]["weights"], _metadata("tokenizer"))


def release_transformer(weights: dict[str, Tensor], target: Path) -> None:
    """`emoji_var.safetensors` from weights in the family's layout."""
    save_weights(target / "emoji_var.safetensors", weights, _metadata("transformer"))
