"""Per-token maps of a run for whoever listens; by default nobody does, and then nothing is computed."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

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
    """Keeps every map (B, T) on the device; `finish` makes them halves and moves them off it, a name at a time."""

    grids: tuple[Grid, ...]
    maps: dict[str, list[Tensor | None]] = field(default_factory=dict)
    numbers: dict[str, list[float | None]] = field(default_factory=dict)

    def add(self, name: str, step: int, make: Callable[[], Tensor]) -> None:
        self.maps.setdefault(name, [None] * len(self.grids))[step] = make()

    def note(self, name: str, step: int, value: float) -> None:
        self.numbers.setdefault(name, [None] * len(self.grids))[step] = value

    def finish(self) -> Trace:
        """The trace, on the CPU."""
        maps = {name: self._off_device(rows) for name, rows in self.maps.items()}
        batch = next((m.shape[0] for rows in maps.values() for m in rows if m is not None), 0)
        return Trace(self.grids, maps, dict(self.numbers), batch)

    def _off_device(self, rows: Sequence[Tensor | None]) -> list[Tensor | None]:
        """All steps of one name in one copy. Norms over a large vocabulary can pass the largest half, 65504."""
        there = [row for row in rows if row is not None]
        together = torch.cat(there, dim=1).clamp_max(65504).half().to("cpu")
        parts = iter(together.split([row.shape[1] for row in there], dim=1))
        return [
            None if row is None else next(parts).unflatten(1, grid)
            for row, grid in zip(rows, self.grids, strict=True)
        ]


def join_traces(traces: Sequence[Trace]) -> Trace:
    """Traces of the parts of a batch, made with the same settings, as one."""
    if len(traces) == 1:
        return traces[0]
    maps = {name: _join_maps([trace.maps[name] for trace in traces]) for name in traces[0].maps}
    return replace(traces[0], maps=maps, batch=sum(trace.batch for trace in traces))


def _join_maps(parts: Sequence[Sequence[Tensor | None]]) -> list[Tensor | None]:
    """One name's maps: per step those of all pictures, or None where a link did not act."""
    steps = ([row for row in step if row is not None] for step in zip(*parts, strict=True))
    return [torch.cat(rows) if rows else None for rows in steps]


def confidence(logits: Tensor) -> Tensor:
    """Probability of the likeliest token, (..., V) -> (...)."""
    return logits.softmax(-1).amax(-1)


def entropy(logits: Tensor) -> Tensor:
    """Entropy of softmax(logits) divided by ln V, 0-1, (..., V) -> (...)."""
    return torch.special.entr(logits.softmax(-1)).sum(-1) / math.log(logits.shape[-1])
