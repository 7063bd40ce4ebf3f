"""Random variants of the drawings: shift, scale, mirror image, hue."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# RGB -> (luma, two chroma axes) and back; turning the chroma plane turns the hue and keeps white.
_TO_YUV = torch.tensor([[0.299, 0.587, 0.114], [-0.147, -0.289, 0.436], [0.615, -0.515, -0.100]])
_TO_RGB = torch.linalg.inv(_TO_YUV)


@dataclass(frozen=True)
class Variation:
    """How far a variant may be from its drawing."""

    shift: float = 4.0  # pixels of the 64 x 64 image
    scale: float = 0.12  # size factor within exp(-scale) .. exp(scale)
    hue: float = 3.14  # largest hue angle
    hue_share: float = 0.25  # share of the variants with another hue


def vary(images: Tensor, mirror: Tensor, how: Variation, rng: torch.Generator) -> Tensor:
    """Variants at 64 x 64 in [-1, 1] of drawings (B, 3, 128, 128) uint8.

    `mirror` (B,) bool says which drawings may be mirrored. The drawing is moved at 128 pixels and
    averaged down to 64, so the edges stay as sharp as those of the original.
    """
    count = images.shape[0]
    picture = images.float() / 127.5 - 1
    size = torch.exp((torch.rand(count, generator=rng) * 2 - 1) * how.scale)
    flip = torch.where(mirror & (torch.rand(count, generator=rng) < 0.5), -1.0, 1.0)
    offset = (torch.rand(count, 2, generator=rng) * 2 - 1) * how.shift / 32
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = flip / size, 1 / size, offset
    grid = F.affine_grid(theta, list(picture.shape), align_corners=False)
    moved = F.grid_sample(picture - 1, grid, align_corners=False) + 1  # outside is white
    return _turn_hue(F.avg_pool2d(moved, 2), how, rng)


def _turn_hue(picture: Tensor, how: Variation, rng: torch.Generator) -> Tensor:
    count = picture.shape[0]
    angle = (torch.rand(count, generator=rng) * 2 - 1) * how.hue
    angle = torch.where(torch.rand(count, generator=rng) < how.hue_share, angle, 0.0)
    turn = torch.eye(3).repeat(count, 1, 1)
    turn[:, 1, 1], turn[:, 1, 2] = angle.cos(), -angle.sin()
    turn[:, 2, 1], turn[:, 2, 2] = angle.sin(), angle.cos()
    matrix = _TO_RGB @ turn @ _TO_YUV  # (B, 3, 3); exact identity up to rounding at angle 0
    return torch.einsum("bij,bjhw->bihw", matrix, picture).clamp(-1, 1)
