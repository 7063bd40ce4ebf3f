"""Kept tokens: parts of an earlier result or of an encoded picture that a run must not change."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Grid = tuple[int, int]


def scale_mask(mask: Tensor, grid: Grid) -> Tensor:
    """Keep-mask (H, W) or (B, H, W), 1 = keep, at a scale's grid: (B or 1, 1, h, w) of zeros and ones.

    Bilinear, threshold 1/2, and everything kept at scales of at most three tokens (VAR's editing rule: a coarser
    grid cannot tell inside from outside).
    """
    maps = mask.float().reshape(-1, 1, *mask.shape[-2:])
    if grid[0] * grid[1] <= 3:
        return maps.new_ones(maps.shape[0], 1, *grid)
    return (F.interpolate(maps, size=grid, mode="bilinear") > 0.5).float()


@dataclass(frozen=True)
class KeptTokens:
    """Tokens (B, T) of every scale to hold on to wherever `mask` is 1."""

    tokens: Sequence[Tensor]
    mask: Tensor

    def blend(self, codes: Tensor, given: Tensor, grid: Grid) -> Tensor:
        """Code vectors (B, Z, h, w) with those of the kept tokens put in place."""
        keep = scale_mask(self.mask.to(codes.device), grid)
        if keep.shape[-2:] != codes.shape[-2:]:  # a token of several code vectors keeps them all
            keep = F.interpolate(keep, size=codes.shape[-2:], mode="nearest")
        return keep * given + (1 - keep) * codes


@dataclass(frozen=True)
class KeptSequence:
    """Tokens (B, T) of a token-wise run to hold on to wherever `mask` (T,) or (B, T) is true; a prefix, or any others."""

    tokens: Tensor
    mask: Tensor

    def hold(self, drawn: Tensor, index: int) -> Tensor:
        """Drawn tokens (B, 1) of position `index`, kept ones put in place."""
        keep = self.mask[..., index, None].to(drawn.device).bool()
        return torch.where(keep, self.tokens[:, index, None].to(drawn.device), drawn)
