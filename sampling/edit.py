"""Kept tokens: parts of an earlier result or of an encoded image that a run must not change.

Letters: B images (1 = the same for all), T tokens of a scale, (h, w) its grid, (H, W) the grid of the feature map.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..guidance.base import Grid
from .model import ScaleCodec
from .pixels import soft_edge


def scale_mask(mask: Tensor, grid: Grid) -> Tensor:
    """Keep-mask (H, W) or (B, H, W), 1 = keep, at a scale's grid: (B or 1, 1, h, w) of zeros and ones.

    Bilinear, threshold 1/2, and everything kept at scales of at most three tokens (VAR's editing rule: a coarser
    grid cannot tell inside from outside).
    """
    maps = mask.float().reshape(-1, 1, *mask.shape[-2:])
    if grid[0] * grid[1] <= 3:
        return maps.new_ones(maps.shape[0], 1, *grid)
    return (F.interpolate(maps, size=grid, mode="bilinear") > 0.5).float()


def keep_outside(mask: Tensor, grids: Sequence[Grid]) -> list[Tensor]:
    """Keep-masks (B or 1, h, w) of every scale from one at the last grid's resolution (see `scale_mask`)."""
    return [scale_mask(mask, grid)[:, 0] > 0 for grid in grids]


def keep_first(kept: float, grids: Sequence[Grid], uniforms: Sequence[Tensor]) -> list[Tensor]:
    """Keep-masks (B, h, w) of the first `kept` scales; of the scale at a fraction, that share of its tokens.

    `uniforms` (B, h, w) in [0, 1) of every scale say which tokens: those below the share, so that keeping more never
    gives up a token that keeping less had kept.
    """
    shares = [min(max(kept - k, 0.0), 1.0) for k in range(len(grids))]
    return [numbers < share for numbers, share in zip(uniforms, shares, strict=True)]


@dataclass(frozen=True)
class KeptTokens:
    """What a scale-wise run must not change.

    Attributes:
        tokens: of every scale, (B or 1, T), or bits (B or 1, T, D).
        masks: of every scale, (B or 1, h, w), true = keep.
        weights: (B or 1, any height, any width) in 0-1, how much of the given image's feature map shows in the end;
            where they are 1 it is put in place after every scale. None: the map is what the tokens sum to, and a coarse
            token that changes is seen a little beyond its own cell.
        features: (B or 1, Z, H, W), the map the given image is decoded from where it is more than the sum of its
            tokens (a continuous residual, mixed code vectors, an earlier blend); None where it is just that.
    """

    tokens: Sequence[Tensor]
    masks: Sequence[Tensor]
    weights: Tensor | None = None
    features: Tensor | None = None


class Keeping:
    """One run's use of `KeptTokens`: puts tokens and codes in place and follows the map the given tokens sum to.

    With nothing to keep, every method gives back what it was given.
    """

    def __init__(self, codec: ScaleCodec, kept: KeptTokens | None, grids: Sequence[Grid]) -> None:
        self.codec, self.kept, self.grids = codec, kept, grids
        self.given: Tensor | None = None

    def tokens(self, drawn: Tensor, scale: int) -> Tensor:
        """Drawn tokens (B, T) or bits (B, T, D), kept ones put in place."""
        if self.kept is None:
            return drawn
        keep = self.kept.masks[scale].to(drawn.device).flatten(1)
        keep = keep.reshape(*keep.shape, *(1,) * (drawn.dim() - 2))
        return torch.where(keep, self.kept.tokens[scale].to(drawn), drawn)

    def codes(self, codes: Tensor, scale: int) -> Tensor:
        """Code vectors (B, Z, h, w), those of kept tokens put in place."""
        if self.kept is None or not self.kept.masks[scale].any():
            return codes  # as they are, to the last bit and in their own memory order
        keep = self.kept.masks[scale].to(codes.device)[:, None].to(codes.dtype)
        if keep.shape[-2:] != codes.shape[-2:]:  # a token of several code vectors keeps them all
            keep = F.interpolate(keep, size=codes.shape[-2:], mode="nearest")
        return keep * self._lookup(scale, codes.device) + (1 - keep) * codes

    def features(self, features: Tensor, scale: int) -> Tensor:
        """The feature map (B, Z, H, W) after a scale, the given one blended in by its weights."""
        kept, last = self.kept, scale + 1 == len(self.grids)
        if kept is None or (kept.weights is None and not (last and kept.features is not None)):
            return features
        given = self._follow(scale, features)
        if last and kept.features is not None:
            given = kept.features.to(features)
        keep = kept.masks[scale].to(features) if kept.weights is None else kept.weights.to(features)
        if keep.shape[-2:] != features.shape[-2:]:
            keep = F.interpolate(keep[:, None], size=features.shape[-2:], mode="area")[:, 0]
        if not last:  # the ramp comes once, at the end: repeated at every scale it would pile up
            keep = (keep > 1 - 1e-6).to(keep)
        return torch.lerp(features, given.expand_as(features), keep[:, None])

    def _lookup(self, scale: int, device: torch.device) -> Tensor:
        assert self.kept is not None
        return self.codec.lookup(self.kept.tokens[scale].to(device), self.grids[scale])

    def _follow(self, scale: int, like: Tensor) -> Tensor:
        """The sum of the given tokens up to a scale; scales come in order where the sum is asked for."""
        step = self.codec.refine(self._lookup(scale, like.device), scale, self.grids)
        given = step if self.given is None else self.given + step
        self.given = given
        return given


@dataclass(frozen=True)
class KeptSequence:
    """Tokens (B or 1, T) of a token-wise run to hold on to wherever `mask` (T,) or (B or 1, T) is true; a prefix, or any others."""

    tokens: Tensor
    mask: Tensor

    def hold(self, drawn: Tensor, first: int) -> Tensor:
        """Drawn tokens (B, n) of the positions from `first` on, kept ones put in place."""
        here = slice(first, first + drawn.shape[1])
        keep = self.mask[..., here].to(drawn.device).bool()
        return torch.where(keep, self.tokens[:, here].to(drawn.device), drawn)


def repainted_cells(mask: Tensor, grid: Grid) -> Tensor:
    """True (M, h, w) where a cell of `grid` holds any marked pixel of a mask (M, H, W)."""
    return F.adaptive_max_pool2d((mask >= 0.5).float()[:, None], grid)[:, 0] > 0


def inpainting(
    tokens: Sequence[Tensor],
    mask: Tensor,
    grids: Sequence[Grid],
    softness: int,
    blend: bool,
    features: Tensor | None = None,
) -> KeptTokens:
    """What to keep when a mask (M, H, W) in pixels says what to draw again.

    Args:
        tokens, features: of the given image, see `KeptTokens`.
        softness: pixels over which the new part fades in, inwards from the edge.
        blend: False = by tokens alone, as VAR's authors edit.
    """
    outside = (~repainted_cells(mask, grids[-1])).float()
    weights = 1 - soft_edge(mask, softness) if blend else None
    return KeptTokens(tokens, keep_outside(outside, grids), weights, features)
