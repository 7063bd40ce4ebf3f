"""Where and when several conditions hold in one image: masks on every grid, normalised where they overlap.

    m_r = weight_r * mask_r            averaged over each token's area; 0 on steps outside start .. end
    share_r = m_r / max(1, sum m)      of region r; the background has what is left of 1

Letters: M masks (1 = the same for all images), n regions, T tokens of a step, L tokens of all steps.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..guidance.base import Grid, RunInfo
from ..guidance.interval import Interval
from ..guidance.scheduled import end_parameter, start_parameter

FULL = 1 - 1e-5  # regions that cover a place up to rounding cover it
Acting = tuple[bool, ...]


@dataclass(frozen=True, eq=False)
class Region(Interval):
    """A part of the image and of the run.

    Attributes:
        mask: (M, h, w) in 0-1, of any size, stretched over the image; None = everywhere.
        weight: how much it counts, 0 or more; 1 = all of what its mask marks.
        start, end: share of the run before which, and after which, it does not count.

    Raises:
        ValueError: a start behind the end, or a weight below 0.
    """

    mask: Tensor | None = None
    weight: float = 1.0
    start: float = start_parameter(
        "Share of the run before which it has no effect. Above 0, the first condition decides the coarse layout."
    )
    end: float = end_parameter(
        "Share of the run after which it has no effect and costs nothing. Below 1, the first condition decides the details."
    )

    def __post_init__(self) -> None:
        self.check_interval()
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"the weight of a region must be 0 or more, not {self.weight}")

    def acts(self, index: int, count: int) -> bool:
        """Whether it counts at step `index` of `count`."""
        return self.weight > 0 and self.covers(index, count)

    def on(self, grid: Grid) -> Tensor:
        """m (M, T) on a grid: the mean of the mask over each token's area."""
        if self.mask is None:
            return torch.full((1, grid[0] * grid[1]), self.weight)
        return self.weight * F.adaptive_avg_pool2d(self._fine(grid)[:, None], grid).flatten(1)

    def _fine(self, grid: Grid) -> Tensor:
        """The mask, enlarged by whole factors where it is coarser than the grid, so that areas are exact."""
        assert self.mask is not None
        mask = self.mask.float()
        for dim, side in ((1, grid[0]), (2, grid[1])):
            if mask.shape[dim] < side:
                mask = mask.repeat_interleave(side, dim)
        return mask

    def rows(self, picked: Sequence[int]) -> "Region":
        """The region of some images."""
        if self.mask is None or len(self.mask) == 1:
            return self
        return replace(self, mask=self.mask[list(picked)])


@dataclass(frozen=True, eq=False)
class Layer:
    """Regions side by side over a background. The order of the regions does not matter."""

    regions: tuple[Region, ...]

    def acting(self, index: int, count: int) -> Acting:
        """Which regions count at a step."""
        return tuple(region.acts(index, count) for region in self.regions)

    def shares(self, grid: Grid, acting: Acting) -> Tensor:
        """(1 + n, M, T) in 0-1: of the background, then of every region; at every token they add up to 1."""
        marked = [
            region.on(grid) if acts else torch.zeros(1, grid[0] * grid[1])
            for region, acts in zip(self.regions, acting, strict=True)
        ]
        parts = torch.stack(torch.broadcast_tensors(*marked))
        total = parts.sum(0)
        covered = total >= FULL
        rest = torch.where(covered, 0.0, 1 - total)
        return torch.cat((rest[None], parts / torch.where(covered, total, 1.0)))

    def over_run(self, run: RunInfo, image_grid: Grid | None) -> Tensor:
        """(1 + n, M, L): the shares of every token of a run, in the order of generation.

        `image_grid`: where the tokens of a token-wise run lie, in reading order; None where every step has a grid. Tokens
        before them, which stand for no place, take the mean over the image.
        """
        made: dict[tuple[Grid, Acting], Tensor] = {}

        def shares(grid: Grid, index: int) -> Tensor:
            key = grid, self.acting(index, run.count)
            if key not in made:
                made[key] = self.shares(*key)
            return made[key]

        if image_grid is None:
            return torch.cat([shares(grid, k) for k, grid in enumerate(run.grids)], dim=-1)
        return _by_position(shares, run.count, image_grid)

    def rows(self, picked: Sequence[int]) -> "Layer":
        """The layer of some images."""
        return Layer(tuple(region.rows(picked) for region in self.regions))


def _by_position(shares: Callable[[Grid, int], Tensor], count: int, grid: Grid) -> Tensor:
    """Shares (1 + n, M, count) of a token-wise run."""
    lead = count - grid[0] * grid[1]
    parts = [shares((1, 1) if k < lead else grid, k) for k in range(count)]
    columns = [part[..., max(k - lead, 0)] for k, part in enumerate(parts)]
    return torch.stack(columns, dim=-1)
