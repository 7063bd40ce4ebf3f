"""The list of scales: which the level of every token tells, and a file may have lost."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..family import FileFacts
from .grid import Grid


class Scales:
    """What follows from a config's list of scales, its `grids`."""

    @property
    def grids(self) -> tuple[Grid, ...]:
        """(h, w) of every scale."""
        raise NotImplementedError

    @property
    def grid(self) -> Grid:
        """(h, w) of the image's tokens."""
        return self.grids[-1]

    @property
    def step_tokens(self) -> int:
        """Positions of the largest forward pass."""
        return max(h * w for h, w in self.grids)

    @property
    def length(self) -> int:
        """Tokens of all scales."""
        return sum(h * w for h, w in self.grids)


class SquareScales(Scales):
    """The same where every scale is square and the config lists their `sides`."""

    sides: tuple[int, ...]

    @property
    def grids(self) -> tuple[Grid, ...]:
        """(h, w) of every scale."""
        return tuple((side, side) for side in self.sides)


MOST_SCALES = 64  # a release has 14 at most

# Releases whose conversions may have lost the `lvl_1L` buffer: (L, K) -> sides.
KNOWN_SIDES = {
    (680, 10): (1, 2, 3, 4, 5, 6, 8, 10, 13, 16),
    (2240, 10): (1, 2, 3, 4, 6, 9, 13, 18, 24, 32),
    (9451, 14): (1, 2, 3, 4, 5, 7, 9, 12, 16, 21, 27, 36, 48, 64),
}


def level_index(sides: Sequence[int]) -> Tensor:
    """Scale of every token, (1, L)."""
    return torch.tensor([[k for k, side in enumerate(sides) for _ in range(side * side)]])


def sides_from_file(facts: FileFacts, length: int = 0) -> tuple[int, ...]:
    """Side of every scale: from `lvl_1L`, or, where a conversion dropped it, the release of that size.

    Args:
        length: tokens of all scales, 0 where the file does not say; then the largest of VAR's and Switti's lists that
            has as many scales (the 256 list was never released for Switti).
    """
    scales = facts.shapes["lvl_embed.weight"][0]
    if "lvl_1L" in facts.buffers:
        sides = sides_of_levels(facts.buffers["lvl_1L"], scales)
        if length and sum(side * side for side in sides) != length:
            raise ValueError(f"lvl_1L describes scales {sides}, which are not {length} tokens")
        return sides
    for known in sorted(KNOWN_SIDES, reverse=True):
        if known == (length or known[0], scales):
            return KNOWN_SIDES[known]
    raise ValueError(
        f"the scale list is not in the file (no lvl_1L) and {length or 'an unknown number of'} tokens over {scales}"
        " scales is not a released size"
    )


def sides_of_levels(levels: Tensor, scales: int) -> tuple[int, ...]:
    """Sides from the level of every token."""
    if (
        scales > MOST_SCALES
        or levels.numel() == 0
        or not 0 <= int(levels.min()) <= int(levels.max()) < scales
    ):
        raise ValueError(f"lvl_1L does not number {scales} scales")
    counts = torch.bincount(levels.flatten(), minlength=scales).tolist()
    sides = tuple(math.isqrt(count) for count in counts)
    if [side * side for side in sides] != counts or len(counts) != scales:
        raise ValueError(f"lvl_1L does not describe {scales} square scales: {counts} tokens")
    return sides
