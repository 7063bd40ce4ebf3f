"""Cosmos DV8x16x16, a discrete video tokenizer (arXiv 2501.03575), on single frames: images <-> one grid of tokens.

Released layout, as two-dimensional networks with the same results (`cosmos_blocks.py`).

Letters: B images, E channels of a code, Z encoder channels, V codebook size, (h, w) the token grid.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from ..family import FileFacts, TokenizerFamily
from ..parts.grid import Grid
from ..parts.operations import Operations, Place
from .conv_blocks import Normalise, as_it_is
from .cosmos_blocks import (
    Conv,
    Downsample,
    Level,
    Middle,
    Norm,
    ResidualBlock,
    Upsample,
    haar,
    inverse_haar,
    pair,
    single_frame,
)
from .shell import OneGrid
from .tiles import TiledDecoder

HAAR_LEVELS = 2  # patches of 4x4 pixels
LEVELS = 3
MOST_LEVELS, MOST_CODES = 16, 1 << 24
ENCODER_HALVED_IN_TIME = (
    1  # levels, of those with a resize; the decoder's first resize is in space alone
)


@dataclass(frozen=True)
class CosmosConfig:
    """Sizes of a tokenizer.

    Attributes:
        levels: values each channel of a code can take.
        latent: Z.
        encoder, decoder: channels of every level, fine to coarse.
        stem: channels the encoder begins with; 0 = the file holds no encoder.
        encoder_blocks, decoder_blocks: residual blocks per level.
        first: id of the first code among the transformer's tokens.
    """

    levels: tuple[int, ...]
    latent: int
    encoder: tuple[int, ...]
    decoder: tuple[int, ...]
    stem: int
    encoder_blocks: int
    decoder_blocks: int
    first: int = 0

    @property
    def codes(self) -> int:
        """V."""
        return math.prod(self.levels)

    @property
    def vocab(self) -> int:
        """Ids that can be decoded: those before the first code, too, count as it."""
        return self.first + self.codes

    @property
    def dim(self) -> int:
        """E."""
        return len(self.levels)

    @property
    def factor(self) -> int:
        """Image pixels per side of one token."""
        return 2 ** (HAAR_LEVELS + len(self.decoder) - 1)

    @property
    def held_per_pixel(self) -> float:
        """An upsampled map, its convolution and their sum, and two of the maps before, a quarter as large."""
        return 3.5 * max(*self.decoder[:2], 3 * 8**HAAR_LEVELS) / 4**HAAR_LEVELS


class Encoder(nn.Module):
    """(B, 3, f*h, f*w) in [-1, 1] -> (B, Z, h, w), f the downsampling factor."""

    def __init__(self, config: CosmosConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        widths = (config.stem, *config.encoder)
        self.conv_in = pair(3 * 8**HAAR_LEVELS, config.stem, ops, **place)
        self.down = nn.ModuleList()
        for i, width in enumerate(config.encoder):
            level = Level(widths[i], width, config.encoder_blocks, ops, **place)
            if i + 1 < len(config.encoder):
                level.downsample = Downsample(width, i < ENCODER_HALVED_IN_TIME, ops, **place)
            self.down.append(level)
        self.mid = Middle(widths[-1], ops, **place)
        self.norm_out = Norm(widths[-1], ops, **place)
        self.conv_out = pair(widths[-1], config.latent, ops, **place)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(HAAR_LEVELS):
            x = haar(x)
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class Decoder(TiledDecoder):
    """(B, Z, h, w) -> (B, 3, f*h, f*w), about [-1, 1], not clamped."""

    enlarges, local = Upsample, ResidualBlock
    grow = 2**HAAR_LEVELS

    def __init__(self, config: CosmosConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        widths, last = config.decoder, len(config.decoder) - 1
        bands = 3 * 8**HAAR_LEVELS
        self.conv_in = pair(config.latent, widths[-1], ops, **place)
        self.mid = Middle(widths[-1], ops, **place)
        self.up = nn.ModuleList()
        for i, width in enumerate(widths):
            before = widths[min(i + 1, last)]
            level = Level(before, width, config.decoder_blocks, ops, **place)
            if i > 0:
                level.upsample = Upsample(width, last - i > 0, ops, **place)
            self.up.append(level)
        self.norm_out = Norm(widths[0], ops, **place)
        self.conv_out = pair(widths[0], bands, ops, **place)

    def layers(self) -> list[nn.Module]:
        return [self.mid, *(part for level in reversed(self.up) for part in level.parts())]  # pyright: ignore

    def end(self, x: Tensor, codes: Tensor | None, norm: Normalise = as_it_is) -> Tensor:
        x = self.conv_out(F.silu(self.norm_out(x, norm)))
        for _ in range(HAAR_LEVELS):
            x = inverse_haar(x)
        return x


class CosmosDV(OneGrid[CosmosConfig]):
    """The released tokenizer. Tokens are ids of the transformer: code c is `config.first` + c."""

    def build(self, operations: Operations, **place: Unpack[Place]) -> None:
        config = self.config
        if config.stem:
            self.encoder = Encoder(config, operations, **place)
            self.quant_conv = Conv(config.latent, config.dim, 1, operations, **place)
        self.post_quant_conv = Conv(config.dim, config.latent, 1, operations, **place)
        self.decoder = Decoder(config, operations, **place)

    # --- tokens -> image -------------------------------------------------------------------------------------------

    def lookup(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Codes of tokens (B, h*w), row-major, as a map (B, E, h, w), fp32; what is no code counts as the nearest one."""
        index = (tokens - self.config.first).clamp(0, self.config.codes - 1)
        levels, basis = (self._per_channel(x, index) for x in (self.config.levels, self.basis))
        digits = index[..., None] // basis % levels
        half = levels // 2
        return ((digits - half) / half).transpose(1, 2).unflatten(2, grid)

    def decoder_input(self, codes: Tensor) -> Tensor:
        return self.post_quant_conv(codes)

    # --- image -> tokens -------------------------------------------------------------------------------------------

    def encode_features(self, image: Tensor) -> Tensor:
        """Image (B, 3, f*h, f*w) in [-1, 1] -> unquantised features (B, E, h, w), fp32.

        Raises:
            ValueError: the tokenizer was loaded without its encoder.
        """
        if not self.config.stem:
            raise ValueError(
                "this image tokenizer has only its decoder: put encoder.jit beside decoder.jit to turn images into tokens"
            )
        return self.quant_conv(self.encoder(image.to(self.compute_dtype))).float()

    def nearest_code(self, features: Tensor) -> Tensor:
        """Tokens (B, h*w) of features (B, E, h, w): finite scalar quantisation (arXiv 2309.15505), channel by channel."""
        flat = features.flatten(2).transpose(1, 2)  # (B, T, E)
        levels, basis = (self._per_channel(x, flat) for x in (self.config.levels, self.basis))
        half = (levels - 1) * 1.001 / 2
        offset = torch.where(levels % 2 == 0, 0.5, 0.0)
        bounded = (flat + (offset / half).atanh()).tanh() * half - offset
        digits = bounded.round().long() + levels // 2
        return (digits * basis).sum(-1) + self.config.first

    @property
    def basis(self) -> tuple[int, ...]:
        """What a step of each channel adds to a code's number: the first channel varies fastest."""
        return tuple(math.prod(self.config.levels[:i]) for i in range(self.config.dim))

    @staticmethod
    def _per_channel(values: tuple[int, ...], like: Tensor) -> Tensor:
        return torch.tensor(values, device=like.device)


def _widths(shapes: Mapping[str, tuple[int, ...]], start: str) -> tuple[tuple[int, ...], int]:
    """Channels of every level under `start` ("decoder.up."), and the residual blocks of one level."""
    keys = [key.split(".") for key in shapes if key.startswith(start)]
    count = 1 + max((int(key[2]) for key in keys), default=-1)
    widths = tuple(shapes[f"{start}{i}.block.0.conv2.0.conv3d.weight"][0] for i in range(count))
    return widths, len({key[4] for key in keys if key[2:4] == ["0", "block"]})


def config_from_file(facts: FileFacts) -> CosmosConfig:
    """Sizes from shapes, levels from the quantiser's buffer."""
    shapes = facts.shapes
    encoder, encoder_blocks = _widths(shapes, "encoder.down.")
    decoder, decoder_blocks = _widths(shapes, "decoder.up.")
    levels = tuple(facts.buffers["inv_quant.quantizer._levels"].flatten().tolist())
    if len(levels) > MOST_LEVELS or math.prod(max(level, 1) for level in levels) > MOST_CODES:
        raise ValueError("its levels make more codes than any image tokenizer has")
    if len(levels) != shapes["post_quant_conv.conv3d.weight"][1] or min(levels) < 2:
        raise ValueError(f"levels {levels} do not fit codes of this width")
    if len(decoder) != LEVELS or (encoder and len(encoder) != LEVELS):
        raise ValueError(f"{len(decoder)} levels instead of {LEVELS}: not the DV8x16x16 edition")
    return CosmosConfig(
        levels=levels,
        latent=shapes["decoder.conv_in.0.conv3d.weight"][1],
        encoder=encoder,
        decoder=decoder,
        stem=shapes.get("encoder.conv_in.0.conv3d.weight", (0,))[0],
        encoder_blocks=encoder_blocks,
        decoder_blocks=decoder_blocks,
    )


# Buffers that restate the configuration; what time attention compares frames with; resizes in time this edition never does.
_UNUSED = (
    r".*quantizer\..*|(encoder\.patcher3d|decoder\.unpatcher3d)\..*|.*\.mid\.attn_1\.1\.[qk]\..*"
    r"|encoder\.down\.\d\.downsample\.conv2\..*|decoder\.up\.\d\.upsample\.conv1\..*"
)

FAMILY = TokenizerFamily(
    name="cosmos_dv",
    title="Cosmos DV8x16x16 image tokenizer",
    required=(
        "decoder.conv_in.0.conv3d.weight",
        "decoder.up.0.block.0.conv2.0.conv3d.weight",
        "post_quant_conv.conv3d.weight",
        "inv_quant.quantizer._levels",
    ),
    config=config_from_file,
    build=CosmosDV,
    convert=single_frame,
    ignored=_UNUSED,
)
