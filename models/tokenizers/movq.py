"""MoVQGAN's image tokenizer, factor 8 (arXiv 2209.09002): images <-> one grid of tokens, released layout.

Letters: B images, E codebook channels, Z encoder channels, V codebook size, C channels of a map, (h, w) the token grid.
Every norm of the decoder is modulated by the code vectors themselves, taken before `post_quant_conv`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from ..family import FileFacts, TokenizerFamily
from ..parts.operations import Operations, Place
from ..parts.settings import whole
from .codebook import Codebook
from .conv_blocks import (
    AttentionBlock,
    Downsample,
    Groups,
    Normalise,
    ResidualBlock,
    Upsample,
    as_it_is,
)
from .convnet import ConvSizes, Level, Middle, sizes_from_file
from .shell import ProjectedCodes
from .tiles import TiledDecoder

GROUPS = 32


@dataclass(frozen=True)
class MoVQConfig(ConvSizes):
    """Sizes of a tokenizer, fine to coarse; `norm_groups` leaves no trace in the weights.

    Attributes:
        attention: levels with attention after every residual block.
    """

    vocab: int
    dim: int
    latent: int
    channels: int
    channel_mult: tuple[int, ...] = (1, 2, 2, 4)
    res_blocks: int = 2
    attention: tuple[int, ...] = (3,)
    norm_groups: int = GROUPS

    @property
    def held_per_pixel(self) -> float:
        """A norm of the maps that come to the finest level: they, their norm, and what it is multiplied by; one more behind it."""
        fine, coming = self.widths[0], self.widths[:2][-1]
        return max(3 * coming, coming + 3 * fine)

    def groups(self, width: int) -> int:
        """Norm groups of a layer of `width` channels."""
        return self.norm_groups

    def attends(self, level: int) -> bool:
        """Whether a level has attention."""
        return level in self.attention


class Encoder(nn.Module):
    """(B, 3, f*h, f*w) in [-1, 1] -> (B, Z, h, w), f the downsampling factor."""

    def __init__(self, config: MoVQConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        widths, last = config.widths, len(config.widths) - 1
        self.conv_in = ops.Conv2d(3, config.channels, 3, padding=1, **place)
        self.down = nn.ModuleList()
        for i, width in enumerate(widths):
            steps = [widths[i - 1] if i else config.channels] + [width] * config.res_blocks
            attention = AttentionBlock if config.attends(i) else None
            level = Level(steps, config.groups, attention, ops, **place)
            if i < last:
                level.downsample = Downsample(width, ops, **place)
            self.down.append(level)
        self.mid = Middle(widths[-1], config.groups, AttentionBlock, ops, **place)
        groups = config.groups(widths[-1])
        self.norm_out = ops.GroupNorm(groups, widths[-1], eps=1e-6, affine=True, **place)
        self.conv_out = ops.Conv2d(widths[-1], config.latent, 3, padding=1, **place)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class SpatialNorm(nn.Module):
    """GroupNorm(x) * y(codes) + b(codes); codes enlarged to the size of x by nearest neighbour."""

    def __init__(
        self, width: int, dim: int, groups: Groups, ops: Operations, **place: Unpack[Place]
    ) -> None:
        super().__init__()
        self.norm_layer = ops.GroupNorm(groups(width), width, eps=1e-6, affine=True, **place)
        self.conv_y = ops.Conv2d(dim, width, 1, **place)
        self.conv_b = ops.Conv2d(dim, width, 1, **place)

    def forward(self, x: Tensor, codes: Tensor, norm: Normalise = as_it_is) -> Tensor:
        """x (B, C, H, W), codes (B, E, h, w)."""
        size = x.shape[-2:]  # 1x1 convolutions first, on the small map: the same numbers, for less
        h = norm(self.norm_layer, x)
        h.mul_(
            F.interpolate(self.conv_y(codes), size=size, mode="nearest")
        )  # in place: at the full size every map counts
        return h.add_(F.interpolate(self.conv_b(codes), size=size, mode="nearest"))


class SpatialBlock(ResidualBlock):
    """A residual block whose norms see the codes."""

    def __init__(
        self,
        width_in: int,
        width_out: int,
        config: MoVQConfig,
        ops: Operations,
        **place: Unpack[Place],
    ) -> None:
        super().__init__(width_in, width_out, config.groups, ops, **place)
        self.norm1 = SpatialNorm(width_in, config.dim, config.groups, ops, **place)
        self.norm2 = SpatialNorm(width_out, config.dim, config.groups, ops, **place)

    def forward(self, x: Tensor, codes: Tensor, norm: Normalise = as_it_is) -> Tensor:  # type: ignore[override]
        h = self.conv1(F.silu(self.norm1(x, codes, norm), inplace=True))
        h = F.silu(self.norm2(h, codes, norm), inplace=True)
        return self.conv2(h).add_(self.nin_shortcut(x))


class SpatialAttention(AttentionBlock):
    """Attention whose norm sees the codes."""

    def __init__(
        self, width: int, config: MoVQConfig, ops: Operations, **place: Unpack[Place]
    ) -> None:
        super().__init__(width, config.groups, ops, **place)
        self.norm = SpatialNorm(width, config.dim, config.groups, ops, **place)

    def forward(self, x: Tensor, codes: Tensor) -> Tensor:  # type: ignore[override]
        return x + self.mixed(self.norm(x, codes))


class SpatialMiddle(nn.Module):
    """Block, attention, block at the lowest resolution."""

    def __init__(
        self, width: int, config: MoVQConfig, ops: Operations, **place: Unpack[Place]
    ) -> None:
        super().__init__()
        self.block_1 = SpatialBlock(width, width, config, ops, **place)
        self.attn_1 = SpatialAttention(width, config, ops, **place)
        self.block_2 = SpatialBlock(width, width, config, ops, **place)

    def forward(self, x: Tensor, codes: Tensor) -> Tensor:
        for part in (self.block_1, self.attn_1, self.block_2):
            x = part(x, codes)
        return x


class SpatialLevel(nn.Module):
    """Residual blocks of one resolution, with attention after each where the level has any, then twice the size."""

    def __init__(
        self,
        widths: list[int],
        level: int,
        config: MoVQConfig,
        ops: Operations,
        **place: Unpack[Place],
    ) -> None:
        super().__init__()
        self.block = nn.ModuleList(
            SpatialBlock(a, b, config, ops, **place)
            for a, b in zip(widths[:-1], widths[1:], strict=True)
        )
        count = len(self.block) if config.attends(level) else 0
        self.attn = nn.ModuleList(
            SpatialAttention(widths[-1], config, ops, **place) for _ in range(count)
        )
        self.upsample = Upsample(widths[-1], ops, **place) if level else None

    def parts(self) -> Iterator[nn.Module]:
        """What is done one after the other."""
        for i, block in enumerate(self.block):
            yield block
            if len(self.attn):
                yield self.attn[i]
        if self.upsample is not None:
            yield self.upsample


class Decoder(TiledDecoder):
    """(B, Z, h, w) and the codes (B, E, h, w) -> (B, 3, f*h, f*w), about [-1, 1], not clamped."""

    def __init__(self, config: MoVQConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        widths, last = config.widths, len(config.widths) - 1
        self.conv_in = ops.Conv2d(config.latent, widths[-1], 3, padding=1, **place)
        self.mid = SpatialMiddle(widths[-1], config, ops, **place)
        self.up = nn.ModuleList()
        for i, width in enumerate(widths):
            steps = [widths[min(i + 1, last)]] + [width] * (config.res_blocks + 1)
            self.up.append(SpatialLevel(steps, i, config, ops, **place))
        self.norm_out = SpatialNorm(widths[0], config.dim, config.groups, ops, **place)
        self.conv_out = ops.Conv2d(widths[0], 3, 3, padding=1, **place)

    def layers(self) -> list[nn.Module]:
        return [self.mid, *(part for level in reversed(self.up) for part in level.parts())]  # pyright: ignore

    def step(
        self, layer: nn.Module, x: Tensor, codes: Tensor | None, norm: Normalise = as_it_is
    ) -> Tensor:
        if isinstance(layer, Upsample):
            return layer(x)
        return layer(x, codes, norm) if isinstance(layer, SpatialBlock) else layer(x, codes)

    def end(self, x: Tensor, codes: Tensor | None, norm: Normalise = as_it_is) -> Tensor:
        return self.conv_out(F.silu(self.norm_out(x, codes, norm)))


class MoVQ(ProjectedCodes[MoVQConfig]):
    """The released tokenizer layout."""

    def parts(
        self, operations: Operations, **place: Unpack[Place]
    ) -> tuple[Encoder, Decoder, Codebook]:
        c = self.config
        return (
            Encoder(c, operations, **place),
            Decoder(c, operations, **place),
            Codebook(c.vocab, c.dim, operations, **place),
        )

    def decode_raw(self, codes: Tensor, tile: int | None = None) -> Tensor:
        codes = codes.to(self.compute_dtype)
        return self.decoder(self.post_quant_conv(codes), tile, codes).float()


def config_from_file(facts: FileFacts) -> MoVQConfig:
    """Sizes from shapes, levels with attention from which keys there are."""
    shapes = facts.shapes
    sizes = sizes_from_file(shapes, "encoder.down.", "block")
    levels = range(len(sizes["channel_mult"]))
    return MoVQConfig(
        **sizes,
        latent=shapes["encoder.conv_out.weight"][0],
        attention=tuple(i for i in levels if f"encoder.down.{i}.attn.0.q.weight" in shapes),
        norm_groups=whole(facts.metadata, "norm_groups", GROUPS),
    )


FAMILY = TokenizerFamily(
    name="movq",
    title="MoVQGAN image tokenizer",
    required=(
        "decoder.norm_out.conv_y.weight",
        "quantize.embedding.weight",
        "encoder.conv_in.weight",
        "encoder.down.0.block.0.conv2.weight",
        "quant_conv.weight",
    ),
    config=config_from_file,
    build=MoVQ,
    # What training needs besides (losses, a discriminator, moving averages) lies beside the network's own parts.
    ignored=r"(?!(encoder|decoder|quantize|quant_conv|post_quant_conv)\.).*|quantize\.(?!embedding\.).*",
)
