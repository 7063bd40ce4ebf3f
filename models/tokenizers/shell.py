"""What image tokenizers do alike: an encoder and a decoder, and tokens of one grid or of several scales between them.

Letters: B images, E codebook channels, Z encoder channels, V codebook size, (h, w) a token grid, f the downsampling factor.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from ..parts.grid import Grid
from ..parts.module import ConfiguredModule
from ..parts.operations import Operations, Place
from .codebook import Codebook
from .tiles import TiledDecoder

C = TypeVar("C")


class ImageTokenizer(ConfiguredModule[C]):
    """An `encoder` and a `decoder`; a tokenizer with layers between them says so in `decoder_input` and `encode_features`."""

    encoder: nn.Module
    decoder: nn.Module

    def decode(self, codes: Tensor, tile: int | None = None) -> Tensor:
        """Codes (B, E, h, w), or the feature map they sum to -> image (B, 3, f*h, f*w) in [-1, 1], fp32.

        Args:
            tile: pixels of the tiles that a `TiledDecoder` makes the full size in; None, and any other decoder: in one piece.
        """
        return self.decode_raw(codes, tile).clamp(-1, 1)

    def decode_raw(self, codes: Tensor, tile: int | None = None) -> Tensor:
        """`decode` without the clamp, for training."""
        x = self.decoder_input(codes.to(self.compute_dtype))
        sizes = (tile,) if isinstance(self.decoder, TiledDecoder) else ()
        return self.decoder(x, *sizes).float()

    def decoder_input(self, codes: Tensor) -> Tensor:
        """What the decoder reads (B, Z, h, w), of codes (B, E, h, w)."""
        return codes

    def encode_features(self, image: Tensor) -> Tensor:
        """Image (B, 3, f*h, f*w) in [-1, 1] -> unquantised features (B, E, h, w), fp32."""
        return self.encoder(image.to(self.compute_dtype)).float()


class OneGrid(ImageTokenizer[C]):
    """Tokens of one grid."""

    quantize: Codebook

    def lookup(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Code vectors of tokens (B, h*w), row-major, as a map (B, E, h, w), fp32."""
        return self.quantize.lookup(tokens, grid)

    def nearest_code(self, features: Tensor) -> Tensor:
        """The token of every position, (B, E, h, w) -> (B, h*w)."""
        return self.quantize.nearest(features)

    def encode(self, image: Tensor) -> Tensor:
        """Image (B, 3, f*h, f*w) in [-1, 1] -> tokens (B, h*w)."""
        return self.nearest_code(self.encode_features(image))


class CodeWidths(Protocol):
    """Channels of the codes (E), and of the encoder's output (Z)."""

    @property
    def dim(self) -> int: ...

    @property
    def latent(self) -> int: ...


W = TypeVar("W", bound=CodeWidths)


class ProjectedCodes(OneGrid[W]):
    """VQGAN's layout and its heirs': 1x1 convolutions from the encoder to the codes, and from these to the decoder."""

    quant_conv: nn.Module
    post_quant_conv: nn.Module

    def build(self, operations: Operations, **place: Unpack[Place]) -> None:
        dim, latent = self.config.dim, self.config.latent
        self.encoder, self.decoder, self.quantize = self.parts(operations, **place)
        self.quant_conv = operations.Conv2d(latent, dim, 1, **place)
        self.post_quant_conv = operations.Conv2d(dim, latent, 1, **place)

    def parts(
        self, operations: Operations, **place: Unpack[Place]
    ) -> tuple[nn.Module, nn.Module, Codebook]:
        """The encoder, the decoder and the codebook."""
        raise NotImplementedError

    def decoder_input(self, codes: Tensor) -> Tensor:
        return self.post_quant_conv(codes)

    def encode_features(self, image: Tensor) -> Tensor:
        return self.quant_conv(self.encoder(image.to(self.compute_dtype))).float()


class SeveralScales(ImageTokenizer[C]):
    """Tokens of several scales, whose refined codes add up to one feature map."""

    def empty_features(self, batch: int, grids: Sequence[Grid], device: torch.device) -> Tensor:
        """The feature map before any scale: zeros, fp32."""
        raise NotImplementedError

    def lookup(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Codes of one scale's tokens as a map, fp32."""
        raise NotImplementedError

    def refine(self, codes: Tensor, scale: int, grids: Sequence[Grid]) -> Tensor:
        """What scale `scale` adds to the feature map."""
        raise NotImplementedError

    def next_input(self, features: Tensor, grid: Grid) -> Tensor:
        """The accumulated feature map at the next grid, as a transformer reads it."""
        raise NotImplementedError

    def quantise(self, features: Tensor, grids: Sequence[Grid]) -> tuple[list[Tensor], Tensor]:
        """Residual quantisation, coarse to fine: tokens per scale, and the feature map they sum to."""
        raise NotImplementedError

    def encode(self, image: Tensor, grids: Sequence[Grid]) -> list[Tensor]:
        """Image (B, 3, fH, fW) in [-1, 1] -> tokens of every scale."""
        return self.quantise(self.encode_features(image), grids)[0]

    def teacher_inputs(self, tokens: Sequence[Tensor], grids: Sequence[Grid]) -> Tensor:
        """What a transformer is fed for steps 1..K-1 when the tokens are known: (B, L - T_0, channels)."""
        features = self.empty_features(tokens[0].shape[0], grids, tokens[0].device)
        inputs = []
        for scale, following in enumerate(grids[1:]):
            codes = self.lookup(tokens[scale], grids[scale])
            features = features + self.refine(codes, scale, grids)
            inputs.append(self.next_input(features, following).flatten(2).transpose(1, 2))
        return torch.cat(inputs, dim=1)
