"""Layers of Cosmos DV on a single frame, under the release's names, and the Haar transform around them.

Every convolution is wrapped (`conv3d`), every norm too (`norm`), and pairs of convolutions act in space, then in time. In front of
a video's first frame lie copies of it, so a single image looks the same at every tap of a convolution in time: its kernel is
summed over time when the file is read (`single_frame`), and all layers here are plain two-dimensional ones with the same results.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from ..parts.operations import Operations, Place
from .conv_blocks import Normalise, as_it_is


def single_frame(key: str, tensor: Tensor) -> tuple[str, Tensor]:
    """A kernel (out, in, t, h, w) of the release -> what it does to an image that stands still, (out, in, h, w)."""
    return key, tensor.float().sum(2) if tensor.dim() == 5 else tensor


class Conv(nn.Module):
    """A convolution in space; one in time is a 1x1 convolution here."""

    def __init__(
        self,
        width_in: int,
        width_out: int,
        size: int,
        ops: Operations,
        stride: int = 1,
        **place: Unpack[Place],
    ) -> None:
        super().__init__()
        padding = size // 2 if stride == 1 else 0
        self.conv3d = ops.Conv2d(width_in, width_out, size, stride, padding, **place)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3d(x)


def pair(width_in: int, width_out: int, ops: Operations, **place: Unpack[Place]) -> nn.Sequential:
    """A convolution in space, then one in time, nothing in between."""
    return nn.Sequential(
        Conv(width_in, width_out, 3, ops, **place), Conv(width_out, width_out, 1, ops, **place)
    )


class Norm(nn.Module):
    """Group norm with one group: over all channels and positions of a frame."""

    def __init__(self, width: int, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.norm = ops.GroupNorm(1, width, eps=1e-6, affine=True, **place)

    def forward(self, x: Tensor, norm: Normalise = as_it_is) -> Tensor:
        return norm(self.norm, x)


class ResidualBlock(nn.Module):
    """x' + pair(SiLU(norm(pair(SiLU(norm(x)))))), x' through a 1x1 convolution where the width changes."""

    def __init__(
        self, width_in: int, width_out: int, ops: Operations, **place: Unpack[Place]
    ) -> None:
        super().__init__()
        self.norm1 = Norm(width_in, ops, **place)
        self.conv1 = pair(width_in, width_out, ops, **place)
        self.norm2 = Norm(width_out, ops, **place)
        self.conv2 = pair(width_out, width_out, ops, **place)
        self.nin_shortcut = (
            nn.Identity() if width_in == width_out else Conv(width_in, width_out, 1, ops, **place)
        )

    def forward(self, x: Tensor, norm: Normalise = as_it_is) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x, norm)))
        return self.nin_shortcut(x) + self.conv2(F.silu(self.norm2(h, norm)))


class SpaceAttention(nn.Module):
    """Single-head self-attention over all positions of a frame."""

    def __init__(self, width: int, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.norm = Norm(width, ops, **place)
        self.q = Conv(width, width, 1, ops, **place)
        self.k = Conv(width, width, 1, ops, **place)
        self.v = Conv(width, width, 1, ops, **place)
        self.proj_out = Conv(width, width, 1, ops, **place)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        q, k, v = (part(h).flatten(2).transpose(1, 2)[:, None] for part in (self.q, self.k, self.v))
        out = F.scaled_dot_product_attention(q, k, v)  # (B, 1, hw, C), softmax over q.k / sqrt(C)
        return x + self.proj_out(out[:, 0].transpose(1, 2).reshape(x.shape))


class TimeAttention(nn.Module):
    """Self-attention over the frames of a pixel: of a single frame it takes the value."""

    def __init__(self, width: int, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.norm = Norm(width, ops, **place)
        self.v = Conv(width, width, 1, ops, **place)
        self.proj_out = Conv(width, width, 1, ops, **place)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.proj_out(self.v(self.norm(x)))


class Middle(nn.Module):
    """Residual block, attention in space and in time, residual block at the lowest resolution."""

    def __init__(self, width: int, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.block_1 = ResidualBlock(width, width, ops, **place)
        self.attn_1 = nn.Sequential(
            SpaceAttention(width, ops, **place), TimeAttention(width, ops, **place)
        )
        self.block_2 = ResidualBlock(width, width, ops, **place)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class Downsample(nn.Module):
    """Half the size: a strided convolution plus the mean; then, where `time`, the same in time; then a 1x1 convolution."""

    def __init__(self, width: int, time: bool, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.conv1 = Conv(width, width, 3, ops, stride=2, **place)
        self.conv2 = Conv(width, width, 1, ops, **place) if time else None
        self.conv3 = Conv(width, width, 1, ops, **place)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, 1, 0, 1))
        x = self.conv1(x) + F.avg_pool2d(x, 2)
        return self.conv3(x if self.conv2 is None else x + self.conv2(x))


class Upsample(nn.Module):
    """Twice the size: where `time`, a convolution in time is added; nearest neighbour plus its convolution; 1x1 convolution."""

    def __init__(self, width: int, time: bool, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.conv1 = Conv(width, width, 1, ops, **place) if time else None
        self.conv2 = Conv(width, width, 3, ops, **place)
        self.conv3 = Conv(width, width, 1, ops, **place)

    def forward(self, x: Tensor) -> Tensor:
        if self.conv1 is not None:
            x = x + self.conv1(x)
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        return self.conv3(x + self.conv2(x))


class Level(nn.Module):
    """Residual blocks of one resolution, then a resize."""

    def __init__(
        self, width_in: int, width: int, blocks: int, ops: Operations, **place: Unpack[Place]
    ) -> None:
        super().__init__()
        self.block = nn.ModuleList(
            ResidualBlock(width if j else width_in, width, ops, **place) for j in range(blocks)
        )
        self.downsample: nn.Module | None = None
        self.upsample: nn.Module | None = None

    def parts(self) -> Iterator[nn.Module]:
        """What is done one after the other."""
        yield from self.block
        yield from (resize for resize in (self.downsample, self.upsample) if resize is not None)

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts():
            x = part(x)
        return x


def haar(x: Tensor) -> Tensor:
    """One level of a three-dimensional Haar transform of a frame that stands still: (B, C, H, W) -> (B, 8C, H/2, W/2).

    Bands in the order lll, llh, lhl, lhh, hll, ... (time, height, width), high = first minus second, an eighth of each sum. Two equal
    frames: the low ones are doubled, the high ones in time are zero.
    """
    a, b, c, d = (x[..., i::2, j::2] for i in (0, 1) for j in (0, 1))
    bands = (a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d)
    low = torch.cat(bands, dim=1) / 4
    return torch.cat((low, torch.zeros_like(low)), dim=1)


def inverse_haar(x: Tensor) -> Tensor:
    """The second frame of one level's inverse, (B, 8C, h, w) -> (B, C, 2h, 2w): signed sums of the bands, no factor."""
    low, high = x.chunk(2, dim=1)
    p, q, r, s = (low - high).chunk(4, dim=1)  # the second of two frames
    cells = torch.stack((p + q + r + s, p - q + r - s, p + q - r - s, p - q - r + s), dim=2)
    return F.pixel_shuffle(cells.flatten(1, 2), 2)
