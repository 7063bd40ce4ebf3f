"""Steps of few tokens are measured together: calling a function then takes longer than what it does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

from torch import Tensor

from .pieces import Piece, named

Picks = Sequence[slice | None]
Maps = tuple[Tensor, ...]
Part = Tensor | float  # a tensor is (B, T, ...)

FEW = 512 << 10  # bytes of a step's logits up to which it waits
WAITING = 5 << 20  # bytes of one of the parts that may wait; most steps have three such
# Sampled are every 4th of the steps of one token, and at most 8 tokens of the others.
SINGLE, SEVERAL = 4, 8
WHOLE = slice(None)


def sampled(step: int, tokens: int) -> slice | None:
    """Which tokens of a step are looked at where looking at all would cost too much; None: none of this step's."""
    if tokens > 1:
        return slice(None, None, -(-tokens // SEVERAL))
    return None if step % SINGLE else WHOLE


def picked(parts: Sequence[Tensor], picks: Picks) -> list[Tensor]:
    """What is looked at of tensors (B, T, ...), one per step."""
    return [
        part if pick is WHOLE else part[:, pick]
        for part, pick in zip(parts, picks, strict=True)
        if pick is not None
    ]


def first(parts: tuple[Part, ...]) -> Tensor:
    """The first part of a step, which is a tensor."""
    return cast(Tensor, parts[0])


@dataclass(frozen=True)
class Measurement:
    """Maps that are found of steps' tensors. Made once: what has the same names and `measure` is measured together.

    Attributes:
        names: of the maps.
        measure: which tokens of every step are sampled, then for every part a sequence of one per step -> a map (B, T) per
            name, the steps side by side, and behind them one per name of `sampled`, of the sampled tokens alone.
        lent: how many of a step's first parts may be written over later, as a network's logits may.
        sampled: what else is found, of some tokens, see `sampled`; of it the means over them are stored, a number (B,) per name.
    """

    names: tuple[str, ...]
    measure: Callable[..., Maps]
    lent: int = 0
    sampled: tuple[str, ...] = ()

    def found(
        self, steps: Sequence[int], parts: Sequence[tuple[Part, ...]]
    ) -> tuple[list[Piece], list[Piece]]:
        """The maps of steps and those of some of their tokens, a piece per name. The first part of a step is a tensor."""
        sizes = [first(own).shape[1] for own in parts]
        picks = list(map(sampled, steps, sizes)) if self.sampled else []
        maps = self.measure(picks, *zip(*parts, strict=True))
        whole = named(self.names, steps, sizes, maps[: len(self.names)])
        seen = [
            (step, len(range(size)[pick]))
            for step, size, pick in zip(steps, sizes, picks, strict=bool(picks))
            if pick is not None
        ]
        if not seen:
            return whole, []
        own_steps, own_sizes = zip(*seen, strict=True)
        return whole, named(self.sampled, own_steps, own_sizes, maps[len(self.names) :])


@dataclass
class Queue:
    """Steps that wait to be measured in one pass: of few tokens, a pass costs as much as of many."""

    what: Measurement
    steps: list[int] = field(default_factory=list)
    parts: list[tuple[Part, ...]] = field(default_factory=list)
    nbytes: int = 0

    def put(self, step: int, parts: tuple[Part, ...]) -> None:
        """Of what is lent copies: it is another's, who may write over it."""
        lent = self.what.lent
        self.steps.append(step)
        copies = [cast(Tensor, part).clone() for part in parts[:lent]]
        self.parts.append((*copies, *parts[lent:]))
        self.nbytes += first(parts).nbytes

    def measured(self) -> tuple[list[Piece], list[Piece]]:
        """See `Measurement.found`; nothing waits any more."""
        if not self.steps:
            return [], []
        steps, parts = self.steps, self.parts
        self.steps, self.parts, self.nbytes = [], [], 0
        return self.what.found(steps, parts)
