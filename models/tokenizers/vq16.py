"""LlamaGen's VQ image tokenizer, factor 16 or 8 (arXiv 2406.06525): images <-> one grid of tokens, released layout.

Letters: B images, E codebook channels, Z encoder channels, V codebook size, (h, w) the token grid.
Codes are compared and decoded on the unit sphere: encoder outputs and codebook rows are L2-normalised.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from ..family import FileFacts, TokenizerFamily
from ..parts.operations import Operations, Place
from ..parts.settings import whole
from .codebook import Codebook
from .conv_blocks import AttentionBlock, Downsample, ResidualBlock, Upsample
from .convnet import ConvSizes, sizes_from_file
from .shell import ProjectedCodes
from .tiles import TiledDecoder

GROUPS = 32


@dataclass(frozen=True)
class VQ16Config(ConvSizes):
    """Sizes of a tokenizer, fine to coarse; `norm_groups` leaves no trace in the weights."""

    vocab: int
    dim: int
    latent: int
    channels: int
    channel_mult: tuple[int, ...] = (1, 1, 2, 2, 4)
    res_blocks: int = 2
    norm_groups: int = GROUPS


class Level(nn.Module):
    """Residual blocks of one resolution, with attention after each where `attention`, then a resize."""

    def __init__(
        self,
        width_in: int,
        width: int,
        blocks: int,
        groups: int,
        attention: bool,
        ops: Operations,
        **place: Unpack[Place],
    ) -> None:
        super().__init__()
        self.res = nn.ModuleList(
            ResidualBlock(width if j else width_in, width, lambda _: groups, ops, **place)
            for j in range(blocks)
        )
        self.attn = nn.ModuleList(
            AttentionBlock(width, lambda _: groups, ops, **place)
            for _ in range(blocks if attention else 0)
        )
        self.downsample: nn.Module | None = None
        self.upsample: nn.Module | None = None

    def parts(self) -> Iterator[nn.Module]:
        """What is done one after the other. A caller that does it itself does not hold the level's input all the while."""
        for j, block in enumerate(self.res):
            yield block
            if len(self.attn):
                yield self.attn[j]
        yield from (resize for resize in (self.downsample, self.upsample) if resize is not None)

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts():
            x = part(x)
        return x


def middle(width: int, groups: int, ops: Operations, **place: Unpack[Place]) -> nn.ModuleList:
    """Residual block, attention, residual block at the lowest resolution."""
    return nn.ModuleList(
        (
            ResidualBlock(width, width, lambda _: groups, ops, **place),
            AttentionBlock(width, lambda _: groups, ops, **place),
            ResidualBlock(width, width, lambda _: groups, ops, **place),
        )
    )


class Encoder(nn.Module):
    """(B, 3, f*h, f*w) in [-1, 1] -> (B, Z, h, w), f the downsampling factor."""

    def __init__(self, config: VQ16Config, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        widths, groups, last = config.widths, config.norm_groups, len(config.widths) - 1
        self.conv_in = ops.Conv2d(3, config.channels, 3, padding=1, **place)
        self.conv_blocks = nn.ModuleList()
        for i, width in enumerate(widths):
            before = config.channels if i == 0 else widths[i - 1]
            level = Level(before, width, config.res_blocks, groups, i == last, ops, **place)
            if i < last:
                level.downsample = Downsample(width, ops, **place)
            self.conv_blocks.append(level)
        self.mid = middle(widths[-1], groups, ops, **place)
        self.norm_out = ops.GroupNorm(groups, widths[-1], eps=1e-6, affine=True, **place)
        self.conv_out = ops.Conv2d(widths[-1], config.latent, 3, padding=1, **place)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for part in (*self.conv_blocks, *self.mid):
            x = part(x)
        return self.conv_out(F.silu(self.norm_out(x)))


class Decoder(TiledDecoder):
    """(B, Z, h, w) -> (B, 3, f*h, f*w), about [-1, 1], not clamped. Here level 0 is the coarsest."""

    def __init__(self, config: VQ16Config, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        widths, groups, last = config.widths[::-1], config.norm_groups, len(config.widths) - 1
        self.conv_in = ops.Conv2d(config.latent, widths[0], 3, padding=1, **place)
        self.mid = middle(widths[0], groups, ops, **place)
        self.conv_blocks = nn.ModuleList()
        for i, width in enumerate(widths):
            before = widths[max(i - 1, 0)]
            level = Level(before, width, config.res_blocks + 1, groups, i == 0, ops, **place)
            if i < last:
                level.upsample = Upsample(width, ops, **place)
            self.conv_blocks.append(level)
        self.norm_out = ops.GroupNorm(groups, widths[-1], eps=1e-6, affine=True, **place)
        self.conv_out = ops.Conv2d(widths[-1], 3, 3, padding=1, **place)

    def layers(self) -> list[nn.Module]:
        return [*self.mid, *(part for level in self.conv_blocks for part in level.parts())]  # pyright: ignore


class Quantizer(Codebook):
    """The codebook (key `quantize.embedding.weight`), every code of length 1."""

    def codebook(self, device: torch.device) -> Tensor:
        """The code vectors (V, E) of length 1, fp32 on `device`."""
        return F.normalize(super().codebook(device), dim=-1)

    def nearest(self, features: Tensor) -> Tensor:
        """Index of the code of the smallest angle at every position, (B, E, h, w) -> (B, h*w)."""
        flat = F.normalize(features.flatten(2).transpose(1, 2), dim=-1)  # (B, T, E)
        return (flat @ self.codebook(features.device).T).argmax(-1)


class VQ16(ProjectedCodes[VQ16Config]):
    """The released tokenizer layout."""

    def parts(
        self, operations: Operations, **place: Unpack[Place]
    ) -> tuple[Encoder, Decoder, Quantizer]:
        c = self.config
        return (
            Encoder(c, operations, **place),
            Decoder(c, operations, **place),
            Quantizer(c.vocab, c.dim, operations, **place),
        )


def config_from_file(facts: FileFacts) -> VQ16Config:
    """Sizes from shapes."""
    shapes = facts.shapes
    return VQ16Config(
        **sizes_from_file(shapes, "encoder.conv_blocks.", "res"),
        latent=shapes["encoder.conv_out.weight"][0],
        norm_groups=whole(facts.metadata, "norm_groups", GROUPS),
    )


FAMILY = TokenizerFamily(
    name="vq16",
    title="LlamaGen image tokenizer",
    required=(
        "encoder.conv_blocks.0.res.0.norm1.weight",
        "quantize.embedding.weight",
        "quant_conv.weight",
        "encoder.conv_in.weight",
        "decoder.conv_out.weight",
    ),
    config=config_from_file,
    build=VQ16,
    ignored=r"quantize\.codebook_used",
)
