"""Steps of few tokens are measured together: calling a function then takes longer than what it does."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .pieces import Piece

Measure = Callable[..., tuple[Tensor, ...]]
"""Tensors (B, T, ...) of any steps in a row -> maps (B, T)."""

FEW = 512 << 10  # bytes of a step's logits up to which it waits
WAITING = 16 << 20  # bytes that may wait


@dataclass
class Queue:
    """Steps that wait to be measured in one pass: of few tokens, a pass costs as much as of many."""

    names: tuple[str, ...]
    measure: Measure
    steps: list[int] = field(default_factory=list)
    parts: list[tuple[Tensor, ...]] = field(default_factory=list)
    nbytes: int = 0

    def put(self, step: int, parts: tuple[Tensor, ...], lent: int) -> None:
        """Of the first `lent` parts copies: they are another's, who may write over them."""
        own = *(part.clone() for part in parts[:lent]), *parts[lent:]
        self.steps.append(step)
        self.parts.append(own)
        self.nbytes += sum(part.nbytes for part in own)

    def measured(self) -> list[Piece]:
        """The maps of all that wait, a piece per name; nothing waits any more."""
        if not self.steps:
            return []
        steps, sizes = self.steps, [parts[0].shape[1] for parts in self.parts]
        together = (torch.cat(same, dim=1) for same in zip(*self.parts, strict=True))
        maps = self.measure(*together)
        self.steps, self.parts, self.nbytes = [], [], 0
        return [
            Piece(name, steps, sizes, found) for name, found in zip(self.names, maps, strict=True)
        ]
