"""Convolutional pieces that image tokenizers of the VQGAN kind share."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from ..parts.operations import Operations, Place

Groups = Callable[[int], int]
"""Norm groups of a layer by its width."""
Normalise = Callable[[nn.GroupNorm, Tensor], Tensor]
"""(norm, x) -> what the norm makes of x."""


def as_it_is(norm: nn.GroupNorm, x: Tensor) -> Tensor:
    """A norm of the whole map."""
    return norm(x)


def channels_last(x: Tensor) -> Tensor:
    """x (B, C, h, w), on the processor with the channels of a place side by side: its convolutions then make no copy of it."""
    return x.contiguous(memory_format=torch.channels_last) if x.device.type == "cpu" else x


class ResidualBlock(nn.Module):
    """x' + conv(SiLU(norm(conv(SiLU(norm(x)))))), x' through a 1x1 convolution where the width changes."""

    def __init__(
        self, width_in: int, width_out: int, groups: Groups, ops: Operations, **place: Unpack[Place]
    ) -> None:
        super().__init__()
        self.norm1 = ops.GroupNorm(groups(width_in), width_in, eps=1e-6, affine=True, **place)
        self.conv1 = ops.Conv2d(width_in, width_out, 3, padding=1, **place)
        self.norm2 = ops.GroupNorm(groups(width_out), width_out, eps=1e-6, affine=True, **place)
        self.conv2 = ops.Conv2d(width_out, width_out, 3, padding=1, **place)
        self.nin_shortcut = (
            nn.Identity() if width_in == width_out else ops.Conv2d(width_in, width_out, 1, **place)
        )

    def forward(self, x: Tensor, norm: Normalise = as_it_is) -> Tensor:
        """`norm`: how its norms are computed, see `tiles.py`."""
        h = self.conv1(F.silu(norm(self.norm1, x), inplace=True))
        h = F.silu(norm(self.norm2, h), inplace=True)  # in place: at the full size every map counts
        return self.conv2(h).add_(self.nin_shortcut(x))


class AttentionBlock(nn.Module):
    """Single-head self-attention over all positions of the map; a convolution each for queries, keys and values."""

    def __init__(self, width: int, groups: Groups, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.norm = ops.GroupNorm(groups(width), width, eps=1e-6, affine=True, **place)
        self.q = ops.Conv2d(width, width, 1, **place)
        self.k = ops.Conv2d(width, width, 1, **place)
        self.v = ops.Conv2d(width, width, 1, **place)
        self.proj_out = ops.Conv2d(width, width, 1, **place)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mixed(self.norm(x))

    def mixed(self, h: Tensor) -> Tensor:
        """What is added to the stream: h (B, C, h, w) normalised -> (B, C, h, w)."""
        q, k, v = (part(h).flatten(2).transpose(1, 2)[:, None] for part in (self.q, self.k, self.v))
        out = F.scaled_dot_product_attention(q, k, v)  # (B, 1, hw, C), softmax over q.k / sqrt(C)
        return self.proj_out(out[:, 0].transpose(1, 2).reshape(h.shape))


class Downsample(nn.Module):
    """Half the size: pad right and bottom by one, then a stride-2 convolution without padding."""

    def __init__(self, width: int, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.conv = ops.Conv2d(width, width, 3, stride=2, **place)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Twice the size: nearest neighbour, then a convolution."""

    def __init__(self, width: int, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.conv = ops.Conv2d(width, width, 3, padding=1, **place)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
