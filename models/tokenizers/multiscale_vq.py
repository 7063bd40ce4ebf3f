"""Multi-scale residual VQ image tokenizer (VAR, arXiv 2404.02905): images <-> tokens of K scales.

Letters: B images, Z codebook channels, V codebook size, K scales, (H, W) the last grid.
An image is the sum over scales of phi_k(upsample(codebook[tokens_k])): the *feature map* `f_hat` (B, Z, H, W).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from ..family import FileFacts, TokenizerFamily
from ..parts.grid import Grid
from ..parts.operations import Operations, Place
from ..parts.settings import whole
from .codebook import Codebook
from .convnet import ConvSizes, Decoder, Encoder, sizes_from_file
from .shell import SeveralScales


@dataclass(frozen=True)
class MultiScaleVQConfig(ConvSizes):
    """Sizes of a tokenizer; all but `norm_groups` and `hybrid` can be read off the weights.

    Attributes:
        hybrid: codes of the last scale are not refined: a transformer that adds a continuous residual to them (HART) was
            trained so.
    """

    vocab: int
    dim: int
    channels: int
    channel_mult: tuple[int, ...] = (1, 1, 2, 2, 4)
    res_blocks: int = 2
    norm_groups: int = 32
    phi_count: int = 4
    hybrid: bool = False

    @property
    def attention(self) -> bool:
        """The lowest resolution has attention."""
        return True

    def groups(self, width: int) -> int:
        """Norm groups, the same for every layer."""
        return self.norm_groups


def phi_index(scale: int, scales: int, phi_count: int) -> int:
    """Which of `phi_count` shared convolutions refines scale `scale` of `scales`.

    The one whose tick is nearest to k/(K-1), in float64: at K = 10 two scales lie exactly half-way between ticks, and
    only this arithmetic picks the convolution the released weights were trained with.
    """
    if phi_count == 1:
        return 0
    margin = 1 / 3 / phi_count if phi_count == 4 else 1 / 2 / phi_count
    width = (1 - margin - margin) / (phi_count - 1)
    ticks = [margin + i * width for i in range(phi_count - 1)] + [1 - margin]
    position = scale / max(scales - 1, 1)
    return min(range(phi_count), key=lambda i: abs(ticks[i] - position))


def resize_area(features: Tensor, grid: Grid) -> Tensor:
    """(B, Z, H, W) -> (B, Z, h, w) by averaging over cells; identity when the size already fits."""
    if tuple(features.shape[-2:]) == tuple(grid):
        return features
    return F.interpolate(features, size=grid, mode="area")


class Phi(nn.Module):
    """The shared refining convolutions: phi(h) = h/2 + (conv3x3(h) + bias)/2."""

    def __init__(self, count: int, dim: int, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.qresi_ls = nn.ModuleList(
            ops.Conv2d(dim, dim, 3, padding=1, **place) for _ in range(count)
        )

    def forward(self, h: Tensor, scale: int, scales: int) -> Tensor:
        conv = self.qresi_ls[phi_index(scale, scales, len(self.qresi_ls))]
        return 0.5 * h + 0.5 * conv(h)


class Quantizer(Codebook):
    """The codebook and the refining convolutions (keys `quantize.*` of the release)."""

    def __init__(self, config: MultiScaleVQConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__(config.vocab, config.dim, ops, **place)
        self.quant_resi = Phi(config.phi_count, config.dim, ops, **place)


class MultiScaleVQ(SeveralScales[MultiScaleVQConfig]):
    """The released tokenizer layout: `encoder`, `decoder`, `quantize`, and two 3x3 convolutions between them."""

    def build(self, operations: Operations, **place: Unpack[Place]) -> None:
        config = self.config
        self.encoder = Encoder(config, operations, **place)
        self.decoder = Decoder(config, operations, **place)
        self.quantize = Quantizer(config, operations, **place)
        self.quant_conv = operations.Conv2d(config.dim, config.dim, 3, padding=1, **place)
        self.post_quant_conv = operations.Conv2d(config.dim, config.dim, 3, padding=1, **place)

    # --- tokens -> image -------------------------------------------------------------------------------------------

    def empty_features(self, batch: int, grids: Sequence[Grid], device: torch.device) -> Tensor:
        """The feature map before any scale: zeros (B, Z, H, W), fp32."""
        return torch.zeros(batch, self.config.dim, *grids[-1], device=device)

    def lookup(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Code vectors of tokens (B, h*w), row-major, as a map (B, Z, h, w), fp32."""
        return self.quantize.lookup(tokens, grid)

    def mix(self, weights: Tensor, grid: Grid) -> Tensor:
        """Mixtures of the code vectors by weights (B, h*w, V), as a map (B, Z, h, w), fp32."""
        codes = weights @ self.quantize.codebook(weights.device)
        return codes.transpose(1, 2).unflatten(2, grid)

    def refine(self, codes: Tensor, scale: int, grids: Sequence[Grid]) -> Tensor:
        """What scale `scale` adds to the feature map: phi(bicubic(codes)), (B, Z, h, w) -> (B, Z, H, W)."""
        if scale == len(grids) - 1 and self.config.hybrid:
            return codes
        if scale < len(grids) - 1:
            codes = F.interpolate(codes, size=grids[-1], mode="bicubic")
        return self.quantize.quant_resi(codes, scale, len(grids))

    def next_input(self, features: Tensor, grid: Grid) -> Tensor:
        """The accumulated feature map at the next grid, (B, Z, h, w)."""
        return resize_area(features, grid)

    def decoder_input(self, codes: Tensor) -> Tensor:
        return self.post_quant_conv(codes)

    # --- image -> tokens -------------------------------------------------------------------------------------------

    def encode_features(self, image: Tensor) -> Tensor:
        return self.quant_conv(self.encoder(image.to(self.compute_dtype))).float()

    def nearest_code(self, features: Tensor) -> Tensor:
        """Index of the nearest code (Euclidean) at every position, (B, Z, h, w) -> (B, h*w)."""
        return self.quantize.nearest(features)

    def quantise(self, features: Tensor, grids: Sequence[Grid]) -> tuple[list[Tensor], Tensor]:
        """Residual quantisation, coarse to fine: tokens (B, h*w) per scale, and the feature map they sum to."""
        rest, total, tokens = features, torch.zeros_like(features), []
        for scale, grid in enumerate(grids):
            tokens.append(self.nearest_code(resize_area(rest, grid)))
            step = self.refine(self.lookup(tokens[-1], grid), scale, grids)
            total, rest = total + step, rest - step
        return tokens, total


def config_from_file(facts: FileFacts) -> MultiScaleVQConfig:
    """Sizes from shapes; the number of norm groups leaves no trace in them and comes from the metadata (default 32)."""
    shapes = facts.shapes
    phi = r"quantize\.quant_resi\.qresi_ls\.\d+\.bias"
    return MultiScaleVQConfig(
        **sizes_from_file(shapes, "encoder.down.", "block"),
        norm_groups=whole(facts.metadata, "norm_groups", 32),
        phi_count=sum(re.fullmatch(phi, key) is not None for key in shapes),
    )


FAMILY = TokenizerFamily(
    name="multiscale_vq",
    title="VAR image tokenizer",
    required=(
        "quantize.quant_resi.qresi_ls.0.weight",
        "quantize.embedding.weight",
        "encoder.conv_in.weight",
        "encoder.down.0.block.0.conv2.weight",
        "decoder.conv_out.weight",
    ),
    config=config_from_file,
    build=MultiScaleVQ,
    # A statistic of training, and the second decoder some of HART's training used.
    ignored=r"quantize\.ema_vocab_hit_SV|(decoder2|post_quant_conv2)\..*",
)
