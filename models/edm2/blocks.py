"""Magnitude-preserving layers of EDM2 (arXiv 2312.02696, section 2.3 and appendix B): they keep the size of activations.

Weights come in already normalised (see `weights`), so a layer here is an ordinary one without bias.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from ..parts.cast import cast_like
from ..parts.operations import Operations, Place
from ..parts.plain_attention import Attending, attend_plainly
from .config import EDM2Config

EPSILON = 1e-4
SILU = 0.596  # root mean square of silu of a standard normal number


def normalised(x: Tensor, dims: int | tuple[int, ...]) -> Tensor:
    """x / (eps + RMS(x)) over some dimensions; the norm is summed in fp32."""
    norm = torch.linalg.vector_norm(x, dim=dims, keepdim=True, dtype=torch.float32)
    rms = norm * math.sqrt(norm.numel() / x.numel())
    return x / (rms + EPSILON).to(x.dtype)


def mp_silu(x: Tensor) -> Tensor:
    """SiLU that keeps the size of standard normal numbers."""
    return F.silu(x) / SILU


def mp_sum(a: Tensor, b: Tensor, t: float) -> Tensor:
    """((1-t) a + t b) / sqrt((1-t)^2 + t^2)."""
    return a.lerp(b, t) / math.hypot(1 - t, t)


def mp_cat(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Channels of both (B, Ca + Cb, H, W), scaled so that each has its share t of the whole's size."""
    whole = math.sqrt((a.shape[1] + b.shape[1]) / ((1 - t) ** 2 + t**2))
    return torch.cat(
        [a * (whole * (1 - t) / math.sqrt(a.shape[1])), b * (whole * t / math.sqrt(b.shape[1]))],
        dim=1,
    )


class Fourier(nn.Module):
    """sqrt(2) cos(x f + p), fp32: a noise level (B,) as features (B, width)."""

    freqs: Tensor
    phases: Tensor

    def __init__(self, width: int, device: torch.device | None = None) -> None:
        super().__init__()
        for name in ("freqs", "phases"):
            self.register_buffer(name, torch.empty(width, device=device, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        waves = x.float()[:, None] * cast_like(self.freqs, x) + cast_like(self.phases, x)
        return waves.cos() * math.sqrt(2)


class Attention(Attending):
    """Self-attention over positions; queries, keys and values are normalised over each head's channels."""

    def __init__(
        self, width: int, config: EDM2Config, ops: Operations, **place: Unpack[Place]
    ) -> None:
        super().__init__()
        self.heads, self.balance = width // config.head_width, config.attn_balance
        self.qkv = ops.Conv2d(width, 3 * width, 1, bias=False, **place)
        self.proj = ops.Conv2d(width, width, 1, bias=False, **place)

    def forward(self, x: Tensor) -> Tensor:
        # q, k, v run fastest along the channels: (B, heads, d, 3, T)
        parts = self.qkv(x).flatten(2).unflatten(1, (self.heads, -1, 3))
        q, k, v = normalised(parts, 2).movedim(2, 4).unbind(2)  # (B, heads, T, d) each
        mixed = attend_plainly(q, k, v, self.kernel)
        return mp_sum(x, self.proj(mixed.transpose(2, 3).reshape(x.shape)), self.balance)


class Block(nn.Module):
    """A residual block, modulated by the embedding.

    Args:
        flavour: "enc" (normalises its input) or "dec".
        resample: "keep", "down" or "up", before everything else.
    """

    def __init__(
        self,
        width_in: int,
        width: int,
        config: EDM2Config,
        ops: Operations,
        flavour: str,
        resample: str = "keep",
        attention: bool = False,
        **place: Unpack[Place],
    ) -> None:
        super().__init__()
        self.flavour, self.resample = flavour, resample
        self.balance, self.clip = config.res_balance, config.clip
        precise: Place = {**place, "dtype": torch.float32}
        self.emb_gain = nn.Parameter(torch.empty((), **precise))
        self.emb_linear = ops.Linear(config.embedding, width, bias=False, **precise)
        inner = width if flavour == "enc" else width_in
        self.conv_res0 = ops.Conv2d(inner, width, 3, padding=1, bias=False, **place)
        self.conv_res1 = ops.Conv2d(width, width, 3, padding=1, bias=False, **place)
        self.conv_skip = (
            ops.Conv2d(width_in, width, 1, bias=False, **place) if width_in != width else None
        )
        self.attn = Attention(width, config, ops, **place) if attention else None

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """x (B, C, H, W) in the type of the weights, embedding (B, E) in fp32."""
        x = self._resampled(x)
        if self.flavour == "enc":
            x = normalised(x if self.conv_skip is None else self.conv_skip(x), 1)
        y = self._residual(x, embedding)
        if self.flavour == "dec" and self.conv_skip is not None:
            x = self.conv_skip(x)
        x = mp_sum(x, y, self.balance)
        if self.attn is not None:
            x = self.attn(x)
        return x.clamp(-self.clip, self.clip)

    def _resampled(self, x: Tensor) -> Tensor:
        if self.resample == "down":
            return F.avg_pool2d(x, 2)
        return F.interpolate(x, scale_factor=2.0) if self.resample == "up" else x

    def _residual(self, x: Tensor, embedding: Tensor) -> Tensor:
        y = self.conv_res0(mp_silu(x))
        gain = self.emb_linear(embedding) * cast_like(self.emb_gain, embedding) + 1
        return self.conv_res1(mp_silu(y * gain.to(y.dtype)[:, :, None, None]))
