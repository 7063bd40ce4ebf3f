"""Per-token maps of a run for whoever listens; by default nobody does, and then nothing is computed."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from .pieces import Grid, Maps, Piece, by_name, off_device, pieces_of
from .waiting import FEW, WAITING, Measurement, Part, Queue, first


class Recorder:
    """Null recorder: the base does nothing and asks for nothing."""

    def add(self, name: str, step: int, make: Callable[[], Tensor]) -> None:
        """Store the (B, T) map that `make` computes, if this recorder wants it."""

    def later(self, what: Measurement, step: int, make: Callable[[], tuple[Part, ...]]) -> None:
        """Store the maps that are found of what `make` gives: now, or of several steps at once."""

    def claim(self, name: str) -> str:
        """A place among the names of maps for one that is measured `later`; gives what it is stored as."""
        return name

    def note(self, name: str, step: int, value: float) -> None:
        """Store one number of a step."""

    def note_vocabulary(self, size: int) -> None:
        """Store the length of a row of logits."""


NULL_RECORDER = Recorder()
ROUNDING = 1e-5  # of the logits' own norm; rounding comes to 2e-6, a CFG of 1.01 to 5e-4 and more


def norms(change: Tensor, beside: Tensor) -> Tensor:
    """L2 norms (B, T) of a change (B, T, V), see `without_rounding`."""
    return without_rounding(change.norm(dim=-1), beside)


def without_rounding(sizes: Tensor, beside: Tensor) -> Tensor:
    """L2 norms (B, T) of a change to logits whose own norms are `beside` (B, T); 0 where it is only rounding.

    Branches with the same condition are rows of one batch, and some processors round the rows of a batch apart.
    """
    return sizes.masked_fill(sizes <= ROUNDING * beside, 0.0)


@dataclass(frozen=True)
class Numbered(Recorder):
    """Passes on what a guidance records under names that tell guidances of one method apart: "igg 2 direction".

    Attributes:
        inner: where it goes.
        numbers: first word of a name -> number; 1 and missing words leave the name as it is.
    """

    inner: Recorder
    numbers: Mapping[str, int]

    def claim(self, name: str) -> str:
        return self.inner.claim(numbered(name, self.numbers))

    def add(self, name: str, step: int, make: Callable[[], Tensor]) -> None:
        self.inner.add(numbered(name, self.numbers), step, make)

    def note(self, name: str, step: int, value: float) -> None:
        self.inner.note(numbered(name, self.numbers), step, value)

    def later(self, what: Measurement, step: int, make: Callable[[], tuple[Part, ...]]) -> None:
        own = tuple(numbered(name, self.numbers) for name in what.names)
        self.inner.later(replace(what, names=own), step, make)


def numbered(name: str, numbers: Mapping[str, int]) -> str:
    """A name with the number of its first word behind that word, from the second on."""
    word, space, rest = name.partition(" ")
    number = numbers.get(word, 1)
    return name if number == 1 else f"{word} {number}{space}{rest}"


@dataclass(frozen=True)
class Trace:
    """What a run recorded.

    Attributes:
        grids: (h, w) of every step; of a token-by-token run (1, w) for every row of tokens.
        maps: name -> per step a (B, h, w) map on the CPU, half precision where that holds it, or None where a guidance did not act.
        numbers: name -> per step a number (gamma and the like), or None.
        batch: images.
        image_grid: (h, w) of what the rows of a token-by-token run make up; None where every step is a whole image.
        vocabulary: length V of a token's row of logits; 0 if not known.
        noise: of a diffusion run, the noise level every step starts from; () for others.
        samples: name -> per step a number per image (B,) that was found from some of its tokens, or None.
    """

    grids: tuple[Grid, ...]
    maps: Mapping[str, Maps]
    numbers: Mapping[str, Sequence[float | None]]
    batch: int
    image_grid: Grid | None = None
    vocabulary: int = 0
    noise: tuple[float, ...] = ()
    samples: Mapping[str, Maps] = field(default_factory=dict)

    def __repr__(self) -> str:
        steps = f"{len(self.grids)} {'rows of tokens' if self.image_grid else 'steps'}"
        return f"AR trace: {self.batch} images, {steps}, {', '.join(self.maps)}"

    @property
    def acted(self) -> dict[str, tuple[bool, ...]]:
        """Guidance -> at which steps it acted: its interval."""
        return {
            name.removesuffix(" scale"): tuple(value is not None for value in values)
            for name, values in self.numbers.items()
            if name.endswith(" scale")
        }

    def whole(self) -> "Trace":
        """A token-by-token run as one step that draws the whole image; any other run as it is."""
        if self.image_grid is None:
            return self
        maps = {name: [_joined(rows)] for name, rows in self.maps.items()}
        numbers = {name: [_mean(row)] for name, row in self.numbers.items()}
        samples = {name: [_mean_image(rows)] for name, rows in self.samples.items()}
        made = replace(self, maps=maps, numbers=numbers, samples=samples)
        return replace(made, grids=(self.image_grid,), image_grid=None)


@dataclass
class TraceRecorder(Recorder):
    """Keeps every map (B, T) on the device; `finish` makes them halves and moves them off it, all at once.

    Attributes:
        grids: (h, w) of every step.
        image_grid: of a token-by-token run, (h, w) its last h w tokens make up in raster order: the trace then has a step
            for every row. Tokens before them (AliTok's line) have no place in the image and are left out.
        noise: of a diffusion run, see `Trace`.
    """

    grids: tuple[Grid, ...]
    image_grid: Grid | None = None
    noise: tuple[float, ...] = ()
    maps: dict[str, list[Tensor | None]] = field(default_factory=dict)
    numbers: dict[str, list[float | None]] = field(default_factory=dict)
    vocabulary: int = 0
    pieces: list[Piece] = field(default_factory=list)  # measured, not yet in `maps`
    sampled: list[Piece] = field(default_factory=list)
    waiting: dict[Hashable, Queue] = field(default_factory=dict)

    def add(self, name: str, step: int, make: Callable[[], Tensor]) -> None:
        self._keep(name, step, make())

    def later(self, what: Measurement, step: int, make: Callable[[], tuple[Part, ...]]) -> None:
        parts = make()
        if first(parts).nbytes > FEW:
            self._store(*what.found([step], [parts]))
            return
        kind = what.names, what.measure
        queue = self.waiting.get(kind)
        if queue is None:
            queue = self.waiting[kind] = Queue(what)
        queue.put(step, parts)
        if queue.nbytes > WAITING:
            self._measure()

    def claim(self, name: str) -> str:
        if name not in self.maps:
            self.maps[name] = [None] * len(self.grids)
        return name

    def _keep(self, name: str, step: int, found: Tensor) -> None:
        self.maps[self.claim(name)][step] = found

    def _measure(self) -> None:
        """Nothing waits any more."""
        for queue in self.waiting.values():
            self._store(*queue.measured())

    def _store(self, maps: list[Piece], some: list[Piece]) -> None:
        self.pieces += maps
        self.sampled += some

    def measure_waiting(self) -> None:
        """Put what waits into `maps`, for who looks at them before the run is over."""
        self._measure()
        self._take_apart(self.pieces)
        self.pieces = []

    def _take_apart(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            for step, found in piece.split():
                self._keep(piece.name, step, found)

    def note(self, name: str, step: int, value: float) -> None:
        if name not in self.numbers:
            self.numbers[name] = [None] * len(self.grids)
        self.numbers[name][step] = value

    def note_vocabulary(self, size: int) -> None:
        self.vocabulary = size

    def finish(self) -> Trace:
        """The trace, on the CPU."""
        if self.image_grid is not None:
            return self._by_rows(*self.image_grid)
        self._measure()
        maps = self._in_order(off_device([*pieces_of(self.maps), *self.pieces], self.grids))
        return Trace(
            self.grids,
            maps,
            dict(self.numbers),
            _batch(maps),
            vocabulary=self.vocabulary,
            noise=self.noise,
            samples=self._means_of_samples(),
        )

    def _by_rows(self, height: int, width: int) -> Trace:
        """The trace of a token-by-token run; a token at which a guidance was off counts as 0 in a row where it acted."""
        self._measure()
        whole = [p for p in self.pieces if p.is_line(len(self.grids))]
        self._take_apart([p for p in self.pieces if not p.is_line(len(self.grids))])
        self.pieces = whole
        count, grids = height * width, ((1, width),) * height
        starts = range(0, count, width)
        rows = {
            name: [_joined(tokens[-count:][s : s + width]) for s in starts]
            for name, tokens in self.maps.items()
        }
        pieces = [*pieces_of(rows), *(p.in_rows(height, width) for p in whole)]
        maps = self._in_order(off_device(pieces, grids))
        numbers = {
            name: [_mean(steps[-count:][s : s + width]) for s in starts]
            for name, steps in self.numbers.items()
        }
        samples = {
            name: [_mean_image(steps[-count:][s : s + width]) for s in starts]
            for name, steps in self._means_of_samples().items()
        }
        return Trace(
            grids, maps, numbers, _batch(maps), self.image_grid, self.vocabulary, samples=samples
        )

    def _in_order(self, maps: Mapping[str, Maps]) -> dict[str, Maps]:
        """Maps that were added or claimed before those that were found with others."""
        return {name: maps[name] for name in dict.fromkeys((*self.maps, *maps)) if name in maps}

    def _means_of_samples(self) -> dict[str, list[Tensor | None]]:
        """Name -> per step the mean (B,) over the tokens that were looked at, or None."""
        if not self.sampled:
            return {}
        together = torch.cat([piece.maps for piece in self.sampled], dim=1).float().cpu()
        sizes = torch.tensor([size for piece in self.sampled for size in piece.sizes])
        sums = together.new_zeros(len(together), len(sizes))
        sums.index_add_(1, torch.repeat_interleave(sizes), together)
        means = iter((sums / sizes).unbind(1))
        return by_name(self.sampled, len(self.grids), lambda step: next(means))


def _mean_image(steps: Maps) -> Tensor | None:
    """Mean of numbers (B,) over the steps that have some."""
    there = [step for step in steps if step is not None]
    return torch.stack(there).mean(0) if there else None


def _joined(maps: Maps) -> Tensor | None:
    """Maps (B, n, ...) one after the other, 0 where there is none; None if there is none at all."""
    there = [one for one in maps if one is not None]
    if not there:
        return None
    off = torch.zeros_like(there[0])
    return torch.cat([off if one is None else one for one in maps], dim=1)


def join_traces(traces: Sequence[Trace]) -> Trace:
    """Traces of the parts of a batch, made with the same settings, as one."""
    if len(traces) == 1:
        return traces[0]
    maps = {name: _join_maps([trace.maps[name] for trace in traces]) for name in traces[0].maps}
    samples = {n: _join_maps([t.samples[n] for t in traces]) for n in traces[0].samples}
    batch = sum(trace.batch for trace in traces)
    return replace(traces[0], maps=maps, samples=samples, batch=batch)


def _join_maps(parts: Sequence[Sequence[Tensor | None]]) -> list[Tensor | None]:
    """One name's maps: per step those of all images, or None where a guidance did not act."""
    steps = ([row for row in step if row is not None] for step in zip(*parts, strict=True))
    return [torch.cat(rows) if rows else None for rows in steps]


def _mean(numbers: Sequence[float | None]) -> float | None:
    there = [number for number in numbers if number is not None]
    return sum(there) / len(there) if there else None


def _batch(maps: Mapping[str, Maps]) -> int:
    return next((m.shape[0] for rows in maps.values() for m in rows if m is not None), 0)
