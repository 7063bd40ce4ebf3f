"""Steps of few tokens are measured together: calling a function then takes longer than what it does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from .pieces import Piece, named

Measure = Callable[..., tuple[Tensor, ...]]
"""Tensors (B, T, ...) of any steps in a row -> maps (B, T)."""

FEW = 512 << 10  # bytes of a step's logits up to which it waits
WAITING = 16 << 20  # bytes that may wait
# Sampled are every 4th of the steps of one token, and at most 8 tokens of the others.
SINGLE, SEVERAL = 4, 8


def sampled(step: int, tokens: int) -> slice | None:
    """Which tokens of a step are looked at where looking at all would cost too much; None: none of this step's."""
    if tokens > 1:
        return slice(None, None, -(-tokens // SEVERAL))
    return None if step % SINGLE else slice(None)


@dataclass(frozen=True)
class Sample:
    """What is measured of some tokens of a step, see `sampled`; what is kept is the mean over them.

    Attributes:
        names: of the maps that `measure` finds of those tokens.
        parts: which of a step's parts it is given.
    """

    names: tuple[str, ...]
    measure: Measure
    parts: tuple[int, ...]

    def of(
        self, steps: Sequence[int], sizes: Sequence[int], parts: Sequence[Tensor]
    ) -> list[Piece]:
        """Of steps one after the other, `sizes` tokens each."""
        places = [
            range(size)[pick] if (pick := sampled(step, size)) else ()
            for step, size in zip(steps, sizes, strict=True)
        ]
        seen = [(step, len(place)) for step, place in zip(steps, places, strict=True) if place]
        if not seen:
            return []
        starts = accumulate(sizes[:-1], initial=0)
        tokens = [start + k for start, place in zip(starts, places, strict=True) for k in place]
        maps = self.measure(*_picked([parts[place] for place in self.parts], tokens))
        own_steps, own_sizes = zip(*seen, strict=True)
        return named(self.names, own_steps, own_sizes, maps)


def _picked(parts: Sequence[Tensor], tokens: Sequence[int]) -> list[Tensor]:
    """Of tensors (rows, T, ...) some tokens; evenly spaced ones, as those of one step are, without telling the device which."""
    if len(tokens) == 1 or len({b - a for a, b in pairwise(tokens)}) == 1:
        every = tokens[1] - tokens[0] if len(tokens) > 1 else 1
        return [part[:, tokens[0] : tokens[-1] + 1 : every] for part in parts]
    index = torch.tensor(tokens, device=parts[0].device)
    return [part.index_select(1, index) for part in parts]


@dataclass
class Queue:
    """Steps that wait to be measured in one pass: of few tokens, a pass costs as much as of many."""

    names: tuple[str, ...]
    measure: Measure
    sample: Sample | None = None
    steps: list[int] = field(default_factory=list)
    parts: list[tuple[Tensor, ...]] = field(default_factory=list)
    nbytes: int = 0

    def put(self, step: int, parts: tuple[Tensor, ...], lent: int) -> None:
        """Of the first `lent` parts copies: they are another's, who may write over them."""
        own = *(part.clone() for part in parts[:lent]), *parts[lent:]
        self.steps.append(step)
        self.parts.append(own)
        self.nbytes += sum(part.nbytes for part in own)

    def measured(self) -> tuple[list[Piece], list[Piece]]:
        """The maps of all that wait, and those of some of their tokens, a piece per name; nothing waits any more."""
        if not self.steps:
            return [], []
        steps, sizes = self.steps, [parts[0].shape[1] for parts in self.parts]
        together = [torch.cat(same, dim=1) for same in zip(*self.parts, strict=True)]
        self.steps, self.parts, self.nbytes = [], [], 0
        some = self.sample.of(steps, sizes, together) if self.sample else []
        return named(self.names, steps, sizes, self.measure(*together)), some
