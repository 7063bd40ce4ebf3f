"""Convolutional encoder and decoder shared by the multi-scale tokenizers (the layout of VAR's release).

Letters: B images, Z code channels, f downsampling factor, (H, W) the feature grid.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypedDict

import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from ..parts.operations import Operations, Place
from .conv_blocks import Downsample, Groups, ResidualBlock, Upsample
from .tiles import TiledDecoder

Attention = Callable[..., nn.Module]
"""Makes an attention block: (width, groups, ops, **place)."""


class ConvSizes:
    """What follows from a config's levels, fine to coarse."""

    channels: int
    channel_mult: tuple[int, ...]

    @property
    def factor(self) -> int:
        """Image pixels per side of one token of the (last) grid."""
        return 2 ** (len(self.channel_mult) - 1)

    @property
    def widths(self) -> list[int]:
        """Channels of every level."""
        return [self.channels * multiple for multiple in self.channel_mult]

    @property
    def held_per_pixel(self) -> float:
        """Numbers that decoding holds at once for each pixel of an image."""
        return finest_maps(self.widths)


def finest_maps(widths: Sequence[int]) -> int:
    """Channels of all maps that a decoder with levels of these widths, fine to coarse, holds at its full size.

    Its first block there: the maps that come, their norm, and what a convolution makes of it; where it narrows them, their shortcut.
    """
    fine, coming = widths[0], widths[:2][-1]
    return max(2 * coming + fine, coming + (2 if coming == fine else 3) * fine)


class ReadSizes(TypedDict):
    """What the shapes of a convolutional tokenizer's codebook and encoder tell."""

    vocab: int
    dim: int
    channels: int
    channel_mult: tuple[int, ...]
    res_blocks: int


def level_widths(
    shapes: Mapping[str, tuple[int, ...]], start: str, block: str
) -> tuple[tuple[int, ...], int]:
    """Widths of the levels under `start` ("encoder.down."), and how many residual `block`s each has."""
    keys = [key.split(".") for key in shapes if key.startswith(start)]
    levels = 1 + max(int(key[2]) for key in keys)
    widths = tuple(shapes[f"{start}{i}.{block}.0.conv2.weight"][0] for i in range(levels))
    return widths, len({key[4] for key in keys if key[2:4] == ["0", block]})


def sizes_from_file(shapes: Mapping[str, tuple[int, ...]], start: str, block: str) -> ReadSizes:
    """Sizes of the codebook and of the encoder, whose levels lie under `start`; see `level_widths`."""
    vocab, dim = shapes["quantize.embedding.weight"]
    channels = shapes["encoder.conv_in.weight"][0]
    widths, blocks = level_widths(shapes, start, block)
    return {
        "vocab": vocab,
        "dim": dim,
        "channels": channels,
        "channel_mult": tuple(width // channels for width in widths),
        "res_blocks": blocks,
    }


class ConvNetConfig(Protocol):
    """Sizes an encoder or decoder is built from."""

    @property
    def dim(self) -> int: ...

    @property
    def channels(self) -> int: ...

    @property
    def channel_mult(self) -> tuple[int, ...]: ...

    @property
    def res_blocks(self) -> int: ...

    @property
    def attention(self) -> bool:
        """Whether the lowest resolution has attention."""
        ...

    def groups(self, width: int) -> int:
        """Norm groups of a layer of `width` channels."""
        ...


class AttentionBlock(nn.Module):
    """Single-head self-attention over all positions of the map."""

    def __init__(self, width: int, groups: Groups, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.norm = ops.GroupNorm(groups(width), width, eps=1e-6, affine=True, **place)
        self.qkv = ops.Conv2d(width, 3 * width, 1, **place)
        self.proj_out = ops.Conv2d(width, width, 1, **place)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(b, 3, 1, c, h * w).transpose(-1, -2).unbind(1)
        out = F.scaled_dot_product_attention(q, k, v)  # (B, 1, HW, C), softmax over q.k / sqrt(C)
        return x + self.proj_out(out.transpose(-1, -2).reshape(b, c, h, w))


class Middle(nn.Module):
    """Residual block, attention where there is any, residual block at the lowest resolution."""

    def __init__(
        self,
        width: int,
        groups: Groups,
        attention: Attention | None,
        ops: Operations,
        **place: Unpack[Place],
    ) -> None:
        super().__init__()
        self.block_1 = ResidualBlock(width, width, groups, ops, **place)
        self.attn_1 = attention(width, groups, ops, **place) if attention else nn.Identity()
        self.block_2 = ResidualBlock(width, width, groups, ops, **place)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class Level(nn.Module):
    """Residual blocks of one resolution, with attention after each where there is any, then a resize."""

    def __init__(
        self,
        widths: Sequence[int],
        groups: Groups,
        attention: Attention | None,
        ops: Operations,
        **place: Unpack[Place],
    ) -> None:
        super().__init__()
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.block = nn.ModuleList(ResidualBlock(a, b, groups, ops, **place) for a, b in pairs)
        self.attn = nn.ModuleList(attention(b, groups, ops, **place) for _, b in pairs if attention)
        self.downsample: nn.Module | None = None
        self.upsample: nn.Module | None = None

    def parts(self) -> Iterator[nn.Module]:
        """What is done one after the other. A caller that does it itself does not hold the level's input all the while."""
        for i, block in enumerate(self.block):
            yield block
            if len(self.attn):
                yield self.attn[i]
        yield from (resize for resize in (self.downsample, self.upsample) if resize is not None)

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts():
            x = part(x)
        return x


class Encoder(nn.Module):
    """(B, 3, fH, fW) in [-1, 1] -> (B, Z, H, W), f the downsampling factor."""

    def __init__(self, config: ConvNetConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        widths = [config.channels * m for m in config.channel_mult]
        groups, last = config.groups, len(widths) - 1
        attention = AttentionBlock if config.attention else None
        self.conv_in = ops.Conv2d(3, config.channels, 3, padding=1, **place)
        self.down = nn.ModuleList()
        for i, width in enumerate(widths):
            before = config.channels if i == 0 else widths[i - 1]
            steps = [before] + [width] * config.res_blocks
            level = Level(steps, groups, attention if i == last else None, ops, **place)
            if i < last:
                level.downsample = Downsample(width, ops, **place)
            self.down.append(level)
        self.mid = Middle(widths[-1], groups, attention, ops, **place)
        self.norm_out = ops.GroupNorm(
            groups(widths[-1]), widths[-1], eps=1e-6, affine=True, **place
        )
        self.conv_out = ops.Conv2d(widths[-1], config.dim, 3, padding=1, **place)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class Decoder(TiledDecoder):
    """(B, Z, H, W) -> (B, 3, fH, fW), about [-1, 1], not clamped."""

    def __init__(self, config: ConvNetConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        widths = [config.channels * m for m in config.channel_mult]
        groups, last = config.groups, len(widths) - 1
        attention = AttentionBlock if config.attention else None
        self.conv_in = ops.Conv2d(config.dim, widths[-1], 3, padding=1, **place)
        self.mid = Middle(widths[-1], groups, attention, ops, **place)
        self.up = nn.ModuleList()
        for i, width in enumerate(widths):
            before = widths[min(i + 1, last)]
            steps = [before] + [width] * (config.res_blocks + 1)
            level = Level(steps, groups, attention if i == last else None, ops, **place)
            if i > 0:
                level.upsample = Upsample(width, ops, **place)
            self.up.append(level)
        self.norm_out = ops.GroupNorm(groups(widths[0]), widths[0], eps=1e-6, affine=True, **place)
        self.conv_out = ops.Conv2d(widths[0], 3, 3, padding=1, **place)

    def layers(self) -> list[nn.Module]:
        return [self.mid, *(part for level in reversed(self.up) for part in level.parts())]  # pyright: ignore
