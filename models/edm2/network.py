"""EDM2 and autoguidance: class-conditional diffusion (arXiv 2312.02696, 2406.02507), layout of the released networks.

    D(x; sigma) = c_skip x + c_out F(c_in x; ln(sigma) / 4, label)
    c_skip = s^2 / (sigma^2 + s^2), c_out = sigma s / sqrt(sigma^2 + s^2), c_in = 1 / sqrt(sigma^2 + s^2)

with s = sigma_data. The U-Net F works in the type of its weights; embedding, preconditioning and D are fp32.
"""

import math

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from ..family import DiffusionFamily
from ..parts.operations import Operations, Place
from .blocks import Block, Fourier, mp_cat, mp_silu, mp_sum
from .config import EDM2Config, config_from
from .weights import folded, renamed


class UNet(nn.Module):
    """F: noisy image (B, C, H, W), noise level (B,) and label (B, classes) -> (B, C, H, W)."""

    def __init__(self, config: EDM2Config, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.config = config
        precise: Place = {**place, "dtype": torch.float32}
        self.out_gain = nn.Parameter(torch.empty((), **precise))
        self.emb_fourier = Fourier(config.noise_width, place.get("device"))
        self.emb_noise = ops.Linear(config.noise_width, config.embedding, bias=False, **precise)
        self.emb_label = (
            ops.Linear(config.classes, config.embedding, bias=False, **precise)
            if config.classes
            else None
        )
        self.enc = nn.ModuleDict()
        self.dec = nn.ModuleDict()
        skips = self._build_encoder(ops, place)
        self._build_decoder(ops, place, skips)
        self.out_conv = ops.Conv2d(
            config.widths[0], config.channels, 3, padding=1, bias=False, **place
        )

    def _build_encoder(self, ops: Operations, place: Place) -> list[int]:
        """Fill `enc`; channels of every output, which all are kept for the decoder."""
        c, width, outputs = self.config, self.config.channels + 1, []
        for side, wider in c.levels.items():
            if side == c.resolution:
                self.enc[f"{side}x{side}_conv"] = ops.Conv2d(
                    width, wider, 3, padding=1, bias=False, **place
                )
                width = wider
            else:
                self.enc[f"{side}x{side}_down"] = Block(
                    width, width, c, ops, "enc", "down", **place
                )
            outputs.append(width)
            for i in range(c.blocks):
                self.enc[f"{side}x{side}_block{i}"] = Block(
                    width, wider, c, ops, "enc", attention=side in c.attention, **place
                )
                width = wider
                outputs.append(width)
        return outputs

    def _build_decoder(self, ops: Operations, place: Place, skips: list[int]) -> None:
        c, width = self.config, self.config.widths[-1]
        for side, wider in reversed(c.levels.items()):
            if side == c.resolution >> (len(c.widths) - 1):
                for i in range(2):
                    self.dec[f"{side}x{side}_in{i}"] = Block(
                        width, width, c, ops, "dec", attention=i == 0, **place
                    )
            else:
                self.dec[f"{side}x{side}_up"] = Block(width, width, c, ops, "dec", "up", **place)
            for i in range(c.blocks + 1):
                self.dec[f"{side}x{side}_block{i}"] = Block(
                    width + skips.pop(),
                    wider,
                    c,
                    ops,
                    "dec",
                    attention=side in c.attention,
                    **place,
                )
                width = wider

    def embed(self, noise: Tensor, labels: Tensor | None) -> Tensor:
        """What modulates every block, (B or 1, E) in fp32."""
        embedding = self.emb_noise(self.emb_fourier(noise))
        if self.emb_label is not None and labels is not None:
            scaled = labels * math.sqrt(labels.shape[1])
            embedding = mp_sum(embedding, self.emb_label(scaled), self.config.label_balance)
        return mp_silu(embedding)

    def forward(self, x: Tensor, noise: Tensor, labels: Tensor | None) -> Tensor:
        embedding = self.embed(noise, labels)
        x = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
        skips: list[Tensor] = []
        for name, layer in self.enc.items():
            x = layer(x) if name.endswith("_conv") else layer(x, embedding)
            skips.append(x)
        for name, layer in self.dec.items():
            if "_block" in name:
                x = mp_cat(x, skips.pop(), self.config.concat_balance)
            x = layer(x, embedding)
        return self.out_conv(x).float() * self.out_gain.to(x.device)


class EDM2(nn.Module):
    """D, and the uncertainty that training weighs its loss with."""

    device: torch.device | None = None

    def __init__(self, config: EDM2Config, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.config = config
        self.compute_dtype = place.get("dtype") or torch.float32
        self.unet = UNet(config, ops, **place)
        self.logvar_fourier = Fourier(config.logvar_width, place.get("device"))
        self.logvar_linear = ops.Linear(
            config.logvar_width, 1, bias=False, **{**place, "dtype": torch.float32}
        )

    def forward(self, x: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        """The denoised image (B, C, H, W), fp32.

        Args:
            x: noisy image in the network's units; its sides must be multiples of `config.divisor`.
            sigma: noise level, one number or one per image (B,).
            labels: weights of the classes (B or 1, classes), one-hot for one class; None = no class, which the released
                conditional networks were not trained for. An unconditional network does not read them.
        """
        data, x, level = self.config.sigma_data, x.float(), self._level(sigma)
        sigma = level[:, None, None, None]
        whole = (sigma**2 + data**2).sqrt()
        noisy = (x / whole).to(self.compute_dtype)
        raw = self.unet(noisy, level.log() / 4, self._labels(labels, x))
        return x * (data / whole) ** 2 + raw * (sigma * data / whole)

    def run_bytes(self, batch: int, grid: tuple[int, int]) -> int:
        """Estimate of what a run needs besides weights: activations of one evaluation, and fp32 images.

        At the finest level of the decoder all skips of that level are still there, and a block's concatenated input is held a
        few times over (before and after its activation, the convolution's workspace).
        """
        c, positions = self.config, batch * grid[0] * grid[1]
        kept = sum(w * (c.blocks + 1) / 4**level for level, w in enumerate(c.widths))
        widest = c.widths[min(1, len(c.widths) - 1)] + c.widths[0]
        activations = positions * (kept + 8 * widest) * self.compute_dtype.itemsize
        return int(activations) + positions * c.channels * 4 * 16

    def uncertainty(self, sigma: Tensor) -> Tensor:
        """ln of the expected squared error at a noise level, (B or 1, 1, 1, 1)."""
        waves = self.logvar_fourier(self._level(sigma).log() / 4)
        return self.logvar_linear(waves)[:, :, None, None]

    def _level(self, sigma: Tensor) -> Tensor:
        return sigma.to(torch.float32).reshape(-1)

    def _labels(self, labels: Tensor | None, x: Tensor) -> Tensor | None:
        if not self.config.classes:
            return None
        if labels is None:
            return torch.zeros(1, self.config.classes, device=x.device)
        return labels.to(x.device, torch.float32).reshape(-1, self.config.classes)


def build(
    config: EDM2Config,
    operations: Operations | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | None = None,
) -> EDM2:
    """The network, weights not set."""
    return EDM2(config, operations or nn, dtype=dtype, device=device)


FAMILY = DiffusionFamily(
    name="edm2",
    title="EDM2",
    required=("unet.emb_fourier.freqs", "unet.out_gain", "unet.emb_noise.weight"),
    config=config_from,
    build=build,
    absent=r"logvar_.*",
    convert=renamed,
    prepare=folded,
)
