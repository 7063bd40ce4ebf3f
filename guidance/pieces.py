"""Maps of several steps side by side, as they were measured: a tensor is cut up once, not step by step."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Grid = tuple[int, int]
Maps = Sequence[Tensor | None]


@dataclass(frozen=True)
class Piece:
    """A name's maps (B, n) of some steps side by side, `sizes` tokens of each."""

    name: str
    steps: Sequence[int]
    sizes: Sequence[int]
    maps: Tensor

    def split(self) -> Iterator[tuple[int, Tensor]]:
        """(step, its map (B, T)) of every one."""
        return zip(self.steps, self.maps.split(list(self.sizes), dim=1), strict=True)

    def is_line(self, count: int) -> bool:
        """Whether it holds all of `count` steps of one token each."""
        return self.maps.shape[1] == count and list(self.steps) == list(range(count))

    def in_rows(self, height: int, width: int) -> "Piece":
        """The last height * width tokens of a line, a step for every row."""
        tokens = self.maps[:, -height * width :]
        return Piece(self.name, range(height), (width,) * height, tokens)


def named(
    names: Sequence[str], steps: Sequence[int], sizes: Sequence[int], maps: Sequence[Tensor]
) -> list[Piece]:
    """A piece for every name."""
    return [Piece(name, steps, sizes, found) for name, found in zip(names, maps, strict=True)]


def pieces_of(maps: Mapping[str, Maps]) -> list[Piece]:
    """Maps (B, T) of single steps, where there are any."""
    return [
        Piece(name, (step,), (row.shape[1],), row)
        for name, rows in maps.items()
        for step, row in enumerate(rows)
        if row is not None
    ]


def by_name(
    pieces: Sequence[Piece], count: int, of: Callable[[int], Tensor]
) -> dict[str, list[Tensor | None]]:
    """Name -> per step of `count`, what `of` gives for the steps of every piece in turn."""
    found: dict[str, list[Tensor | None]] = {}
    for piece in pieces:
        rows = found.setdefault(piece.name, [None] * count)
        for step in piece.steps:
            rows[step] = of(step)
    return found


def off_device(pieces: Sequence[Piece], grids: Sequence[Grid]) -> dict[str, list[Tensor | None]]:
    """All maps in one copy: halves, or as they are where one passes the largest half, 65504."""
    if not pieces:
        return {}
    together = torch.cat([piece.maps for piece in pieces], dim=1)
    if together.amax() <= torch.finfo(torch.half).max:
        together = together.half()
    sizes = [size for piece in pieces for size in piece.sizes]
    parts = iter(together.to("cpu").split(sizes, dim=1))
    batch = len(together)
    return by_name(pieces, len(grids), lambda step: next(parts).view(batch, *grids[step]))
