"""Per-token maps of a run for whoever listens; by default nobody does, and then nothing is computed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

Grid = tuple[int, int]


class Recorder:
    """Null recorder: the base does nothing and asks for nothing."""

    def add(self, name: str, step: int, make: Callable[[], Tensor]) -> None:
        """Store the (B, T) map that `make` computes, if this recorder wants it."""

    def note(self, name: str, step: int, value: float) -> None:
        """Store one number of a step."""


NULL_RECORDER = Recorder()


@dataclass(frozen=True)
class Trace:
    """What a run recorded.

    Attributes:
        grids: (h, w) of every step.
        maps: name -> per step a (B, h, w) map, half precision on the CPU, or None where a link did not act.
        numbers: name -> per step a number (gamma and the like), or None.
        batch: pictures.
    """

    grids: tuple[Grid, ...]
    maps: Mapping[str, Sequence[Tensor | None]]
    numbers: Mapping[str, Sequence[float | None]]
    batch: int

    def __repr__(self) -> str:
        return f"AR trace: {self.batch} pictures, {len(self.grids)} steps, {', '.join(self.maps)}"


@dataclass
class TraceRecorder(Recorder):
    """Keeps every map, reduced to (B, T) halves on the device until `finish` moves them off it."""

    grids: tuple[Grid, ...]
    maps: dict[str, list[Tensor | None]] = field(default_factory=dict)
    numbers: dict[str, list[float | None]] = field(default_factory=dict)

    def add(self, name: str, step: int, make: Callable[[], Tensor]) -> None:
        row = self.maps.setdefault(name, [None] * len(self.grids))
        # Norms over a vocabulary of thousands can pass the largest half (65504).
        row[step] = make().clamp(-65504, 65504).half()

    def note(self, name: str, step: int, value: float) -> None:
        self.numbers.setdefault(name, [None] * len(self.grids))[step] = value

    def finish(self) -> Trace:
        """The trace, on the CPU."""
        maps = {
            name: [
                None if row is None else row.unflatten(1, grid).to("cpu")
                for row, grid in zip(rows, self.grids, strict=True)
            ]
            for name, rows in self.maps.items()
        }
        batch = next((m.shape[0] for rows in maps.values() for m in rows if m is not None), 0)
        return Trace(self.grids, maps, dict(self.numbers), batch)


def confidence(logits: Tensor) -> Tensor:
    """Probability of the likeliest token, (..., V) -> (...)."""
    return torch.exp(logits.amax(-1) - logits.logsumexp(-1))


def entropy(logits: Tensor) -> Tensor:
    """Entropy of softmax(logits) divided by ln V, 0-1, (..., V) -> (...)."""
    log_p = logits.log_softmax(-1)
    # A removed token (probability 0) contributes nothing, not NaN.
    terms = (log_p.exp() * log_p).nan_to_num(nan=0.0)
    return -terms.sum(-1) / torch.tensor(float(logits.shape[-1])).log().item()
