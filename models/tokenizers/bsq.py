"""Multi-scale binary spherical quantisation (Infinity, arXiv 2412.04431): images <-> bits of K scales.

Letters: B images, d bits per code, p side of the patch of codes one token stands for (1 or 2), D = d p^2 bits per token,
T tokens of a scale, (h, w) its grid, (H, W) the last grid. The *feature map* (B, d, pH, pW) is the sum over scales of
upsample(codes_k), a code being d entries of +-1/sqrt(d).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import Unpack

from ..family import FileFacts, TokenizerFamily
from ..parts.grid import Grid
from ..parts.operations import Operations, Place
from .convnet import ConvSizes, Decoder, Encoder, finest_maps, level_widths
from .multiscale_vq import resize_area
from .shell import SeveralScales


@dataclass(frozen=True)
class BitwiseConfig(ConvSizes):
    """Sizes of a tokenizer, read off the weights; only `patch` is the transformer's choice.

    Attributes:
        dim: bits d per code.
        decoder_mult, decoder_blocks: like `channel_mult` and `res_blocks`, of the decoder.
        patch: p, codes per side of a token.
        variant: which tokenizer of this bit width it is, where a file beside it says so ("d32", "d32reg").
    """

    dim: int
    channels: int
    channel_mult: tuple[int, ...]
    res_blocks: int
    decoder_mult: tuple[int, ...]
    decoder_blocks: int
    patch: int = 1
    variant: str = ""

    @property
    def vocab(self) -> int:
        """There is no codebook: a token is D bits."""
        return 0

    @property
    def attention(self) -> bool:
        """There is none."""
        return False

    def groups(self, width: int) -> int:
        """Norm groups of a layer of `width` channels."""
        return 24 if width % 32 else 32

    @property
    def factor(self) -> int:
        """Image pixels per side of one token of the last grid."""
        return self.patch * 2 ** (len(self.channel_mult) - 1)

    @property
    def held_per_pixel(self) -> float:
        """Numbers that decoding holds at once for each pixel of an image; its map is smaller than the image where p is 2."""
        return (
            finest_maps([self.channels * multiple for multiple in self.decoder_mult])
            / self.patch**2
        )

    @property
    def decoder(self) -> "BitwiseConfig":
        """Sizes of the decoder; it has one block more per level, which `Decoder` adds."""
        return replace(self, channel_mult=self.decoder_mult, res_blocks=self.decoder_blocks - 1)


def resize_linear(features: Tensor, size: Sequence[int]) -> Tensor:
    """(B, d, H, W) -> (B, d, h, w), bilinear without antialiasing, also when shrinking: what generation was trained with."""
    if tuple(features.shape[-2:]) == tuple(size):
        return features
    return F.interpolate(features, size=tuple(size), mode="bilinear", align_corners=False)


class BitwiseVQ(SeveralScales[BitwiseConfig]):
    """The released layout: `encoder` and `decoder`; the quantiser has no weights."""

    def build(self, operations: Operations, **place: Unpack[Place]) -> None:
        self.encoder = Encoder(self.config, operations, **place)
        self.decoder = Decoder(self.config.decoder, operations, **place)

    # --- bits -> image ---------------------------------------------------------------------------------------------

    def empty_features(self, batch: int, grids: Sequence[Grid], device: torch.device) -> Tensor:
        """The feature map before any scale: zeros (B, d, pH, pW), fp32."""
        return torch.zeros(batch, self.config.dim, *self._codes_grid(grids[-1]), device=device)

    def lookup(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Codes (B, d, ph, pw) of bits (B, h*w, D), row-major, fp32."""
        signs = tokens.to(torch.float32) * 2 - 1
        maps = signs.transpose(1, 2).unflatten(2, grid)
        # Bit c of the code at (dy, dx) of a token's patch is the token's bit c p^2 + dy p + dx.
        return F.pixel_shuffle(maps, self.config.patch) / self.config.dim**0.5

    def refine(self, codes: Tensor, scale: int, grids: Sequence[Grid]) -> Tensor:
        """What scale `scale` adds to the feature map: its codes, linearly upsampled."""
        return resize_linear(codes, self._codes_grid(grids[-1]))

    def next_input(self, features: Tensor, grid: Grid) -> Tensor:
        """The accumulated feature map at the next grid, a token's patch in its channels, (B, D, h, w)."""
        return F.pixel_unshuffle(resize_linear(features, self._codes_grid(grid)), self.config.patch)

    # --- image -> bits ---------------------------------------------------------------------------------------------

    def quantise(
        self, features: Tensor, grids: Sequence[Grid], flipped: Mapping[int, Tensor] | None = None
    ) -> tuple[list[Tensor], Tensor]:
        """Residual quantisation, coarse to fine: bits (B, h*w, D) per scale, and the feature map they sum to.

        `flipped`: scale -> bits that are accumulated in place of the scale's own (the self-correction of training);
        the returned bits are those the residual asks for.
        """
        rest, total, tokens = features, torch.zeros_like(features), []
        size = tuple(features.shape[-2:])
        for scale, grid in enumerate(grids):
            bits = resize_area(rest, self._codes_grid(grid)) > 0
            tokens.append(self._tokens(bits.long()))
            used = flipped[scale] if flipped and scale in flipped else tokens[-1]
            step = resize_linear(self.lookup(used, grid), size)
            total, rest = total + step, rest - step
        return tokens, total

    # --- pieces ----------------------------------------------------------------------------------------------------

    def _codes_grid(self, grid: Grid) -> Grid:
        return grid[0] * self.config.patch, grid[1] * self.config.patch

    def _tokens(self, bits: Tensor) -> Tensor:
        """Bits of codes (B, d, ph, pw) -> of tokens (B, h*w, D)."""
        return F.pixel_unshuffle(bits, self.config.patch).flatten(2).transpose(1, 2)


_CONV = re.compile(r"(conv_in|conv_out|conv1|conv2|nin_shortcut|sample\.conv)\.conv\.")
_NORM = re.compile(r"(norm1|norm2|norm_out)\.norm\.")


def plain_names(key: str, tensor: Tensor) -> tuple[str, Tensor]:
    """The release wraps every convolution and norm once more; its older files do not."""
    return _NORM.sub(r"\1.", _CONV.sub(r"\1.", key)), tensor


def config_from_file(facts: FileFacts) -> BitwiseConfig:
    """Sizes from shapes."""
    shapes = facts.shapes
    channels, dim = shapes["encoder.conv_in.weight"][0], shapes["decoder.conv_in.weight"][1]
    widths, blocks = level_widths(shapes, "encoder.down.", "block")
    up_widths, up_blocks = level_widths(shapes, "decoder.up.", "block")
    up_channels = shapes["decoder.conv_out.weight"][1]
    if up_channels != up_widths[0]:
        raise ValueError(
            f"the decoder ends with {up_channels} channels after a level of {up_widths[0]}"
        )
    if any(width % channels for width in widths + up_widths):
        raise ValueError(
            f"levels of {widths} and {up_widths} channels are not multiples of {channels}"
        )
    return BitwiseConfig(
        dim=dim,
        channels=channels,
        channel_mult=tuple(width // channels for width in widths),
        res_blocks=blocks,
        decoder_mult=tuple(width // channels for width in up_widths),
        decoder_blocks=up_blocks,
        variant=facts.metadata.get("variant")
        or str(facts.own_settings({}, ("variant",), "infinity").get("variant", "")),
    )


FAMILY = TokenizerFamily(
    name="bsq",
    title="Infinity image tokenizer",
    required=(
        "quantizer.lfq.mask",
        "encoder.conv_in.weight",
        "encoder.down.0.block.0.conv2.weight",
        "decoder.conv_in.weight",
        "decoder.up.0.block.0.conv2.weight",
        "decoder.conv_out.weight",
    ),
    config=config_from_file,
    build=BitwiseVQ,
    convert=plain_names,
    ignored=r".*",  # discriminator, optimiser and masks: the release keeps all of its training state
)
