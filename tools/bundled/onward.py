"""A second course of the transformer: from averaged weights, with a fresh optimiser and more variants of every drawing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .checkpoint import load_state
from .data import Drawings
from .groups import ANY_GROUP, ANY_STYLE
from .sample import load_pair
from .transformer import TransformerRecipe, TransformerTraining, build, train, trained_weights

VARIANTS = 16  # of every drawing


@dataclass(frozen=True)
class OnwardRecipe(TransformerRecipe):
    """How long and how fast; the defaults are those of the released weights."""

    steps: int = 4800
    rate: float = 1.2e-3
    dropout: float = 0.05
    average: float = 0.998
    report_every: int = 200


def training_layout(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The reverse of `transformer.export`: the class table as group + style + pair."""
    table = weights["class_emb.weight"].unflatten(0, (ANY_GROUP + 1, ANY_STYLE + 1))
    group = table.mean(1, keepdim=True)
    style = table.mean(0, keepdim=True) - table.mean((0, 1), keepdim=True)
    parts = {"group": group, "style": style, "pair": table - group - style}
    plain = {k: v for k, v in weights.items() if k != "class_emb.weight"}
    return plain | {f"class_emb.{name}": part.clone() for name, part in parts.items()}


def starting_weights(work: Path, released: Path) -> dict[str, Tensor]:
    """The averaged weights of the first course in `work`; where there is none, those of the file in `released`.

    The present file has been through this course: from it, a run is a third.
    """
    if load_state(work / "transformer.pt") is not None:
        return trained_weights(work)
    return {name: value.clone() for name, value in load_pair(released)[1].state_dict().items()}


class OnwardTraining(TransformerTraining):
    """The state of a run; `start`: weights in the family's layout."""

    name = "transformer_onward"

    def __init__(self, start: dict[str, Tensor], *run: Any) -> None:
        self.start = start
        super().__init__(*run)

    def logits(self, network: Any, labels: Tensor, used: Tensor) -> Tensor:
        """In bfloat16 while training, a third faster where the processor knows it; measured in single precision."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=network.training):
            return super().logits(network, labels, used).float()

    def fresh(self) -> Any:
        network = build(spread=1.0)  # its numbers are replaced
        network.load_state_dict(training_layout(self.start))
        return network


def train_onward(
    rank: int, start: dict[str, Tensor], drawings: Drawings, tokenizer: Any,
    tokens: dict[str, Tensor], folder: Path, recipe: OnwardRecipe, device: str,
) -> None:  # fmt: skip
    """Run (or go on with) the training; keeps the newest and the best checkpoint."""
    train(OnwardTraining(start, drawings, tokenizer, tokens, recipe, rank, device), folder)


def newest_weights(work: Path) -> dict[str, Tensor]:
    """The averaged weights of the second course, or of the first where there has been no second."""
    second = f"{OnwardTraining.name}.pt"
    return trained_weights(work, second if (work / second).exists() else "transformer.pt")
