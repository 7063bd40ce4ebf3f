"""Pixels of an edit: how its edge fades, and what a hole is filled with before it is drawn.

Letters: B images, M masks (1 = the same for all), (H, W) their size in pixels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

ROUNDS = 8  # of smoothing at every level of `filled`: more changes nothing that can be seen


def soft_edge(mask: Tensor, width: int) -> Tensor:
    """A mask (M, H, W) that rises from its edge to its full value over `width` pixels, inwards only.

    The mean of the mask and its first `width` - 1 erosions: zero wherever the mask is zero. The border of the image
    is no edge. Where no pixel lies that deep, the deepest have the full value and the rise is steeper.
    """
    total, eroded = mask.float(), mask.float()[:, None]
    for _ in range(width - 1):
        eroded = -F.max_pool2d(-eroded, 3, stride=1, padding=1)
        total = total + eroded[:, 0]
    highest, full = total.amax((1, 2), keepdim=True), mask.float().amax((1, 2), keepdim=True)
    return torch.minimum(total * full / highest.clamp_min(1e-6), mask.float())


def filled(images: Tensor, hidden: Tensor) -> Tensor:
    """Images (B, C, H, W) with the pixels that `hidden` (B or 1, H, W) marks continued from those at their border.

    A membrane stretched over the hole and held by the pixels next to it: the colours of the border go on across it and run
    into each other further in. What lies deeper in the visible part has no say, nor has what is hidden.
    """
    hole = hidden.to(images)[:, None]
    border = (1 - hole) * F.max_pool2d(hole, 3, stride=1, padding=1)
    return torch.where(hole > 0, _membrane(images * border, border), images)


def _membrane(values: Tensor, held: Tensor) -> Tensor:
    """The smoothest maps (B, C, H, W) that have these values where `held` (B or 1, 1, H, W) is 1; `values` is 0 elsewhere.

    Every other pixel is the mean of those around it, from coarse to fine. The border of the image pulls nowhere.
    """
    if max(values.shape[-2:]) < 2:
        return values
    size = [(side + 1) // 2 for side in values.shape[-2:]]
    share = F.interpolate(held, size=size, mode="area")
    below = F.interpolate(values, size=size, mode="area") / share.clamp_min(1e-6)
    if (share == 0).any():
        below = _membrane(below, (share > 0).to(held))
    maps = torch.lerp(F.interpolate(below, size=values.shape[-2:], mode="bilinear"), values, held)
    for _ in range(ROUNDS):
        around = F.avg_pool2d(F.pad(maps, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        maps = torch.lerp(around, values, held)
    return maps


def compose(new: Tensor, old: Tensor, mask: Tensor, softness: int) -> Tensor:
    """Images (B, H, W, C): `new` inside a mask (M, H, W), fading in from its edge; `old` outside it, exactly."""
    return torch.lerp(old.to(new), new, soft_edge(mask, softness).to(new)[..., None])
