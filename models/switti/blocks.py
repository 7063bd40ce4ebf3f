"""Layers of Switti: two kinds of attention under norms before and behind, modulated by the pooled text.

Letters as in `switti.py`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from ..parts.attention import attend_many
from ..parts.cache import KVCache, Weighable
from ..parts.cast import cast_like
from ..parts.levels import SquareScales
from ..parts.norms import RMSNorm, plain_norm
from ..parts.operations import Operations, Place
from ..parts.plain_attention import Attending
from ..parts.rope import frequencies, rotate
from ..parts.sizes import check_heads
from ..parts.swiglu import SwiGLU

EPS = 1e-6  # of the root-mean-square norms


@dataclass(frozen=True)
class SwittiConfig(SquareScales):
    """Sizes of a network. Heads and the rotary constants leave no trace in the weights.

    Attributes:
        causal: whether a scale sees those before it (Switti-AR).
        rope_theta, rope_size: base of the rotary frequencies; extent every scale is stretched to.
        crop: height, width, top, left given as the crop condition; the release always gives these.
    """

    depth: int
    width: int
    heads: int
    vocab: int
    dim: int
    sides: tuple[int, ...]
    ffn: int
    text_dim: int
    pooled_dim: int
    causal: bool
    rope_theta: float = 10000.0
    rope_size: float = 128.0
    crop: tuple[int, int, int, int] = (512, 512, 0, 0)

    def __post_init__(self) -> None:
        check_heads(self.width, self.heads, multiple=4)


def scale_angles(config: SwittiConfig, side: int, device: torch.device) -> Tensor:
    """Rotary angles (T, d/2) of a scale: columns in the first half, rows in the second.

    Every scale spans 0..size, so scales are told apart by their level embedding alone.
    """
    quarter = config.width // config.heads // 4
    stretched = frequencies(quarter, device, config.rope_theta)
    stretched = stretched * (config.rope_size / max(side - 1, 1))
    angles = torch.arange(side, device=device)[:, None] * stretched  # (side, d/4)
    columns = angles[None].expand(side, -1, -1)
    rows = angles[:, None].expand(-1, side, -1)
    return torch.cat([columns, rows], dim=-1).flatten(0, 1)


class SelfAttention(Attending):
    """q and k normalised over all heads together, then turned by their position."""

    def __init__(self, config: SwittiConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.heads = config.heads
        self.to_qkv = ops.Linear(config.width, 3 * config.width, **place)
        self.proj = ops.Linear(config.width, config.width, **place)

    def forward(self, x: Tensor, table: Tensor, cache: KVCache | None, layer: int) -> Tensor:
        """x (rows, T, C) -> (rows, T, C)."""
        q, k, v = self.to_qkv(x).chunk(3, dim=-1)
        q = rotate(split_heads(plain_norm(q), self.heads), table).to(x.dtype)
        k = rotate(split_heads(plain_norm(k), self.heads), table).to(x.dtype)
        v = split_heads(v, self.heads)
        weights = None
        if cache is not None:
            k, v = cache.append(layer, k, v)
            weights = cache.weights
        out = attend_many(q, k, v, weights=weights, kernel=self.kernel)
        return self.proj(out.transpose(1, 2).flatten(2))


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(rows, T, C) -> (rows, H, T, d)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


class CrossAttention(nn.Module):
    """Attention to the text; its keys and values are the same at every scale."""

    def __init__(self, config: SwittiConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.heads = config.heads
        self.to_q = ops.Linear(config.width, config.width, **place)
        self.to_kv = ops.Linear(config.text_dim, 2 * config.width, **place)
        self.proj = ops.Linear(config.width, config.width, **place)

    def text(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Keys (normalised) and values (rows, H, n, d) of text features (rows, n, E)."""
        k, v = self.to_kv(features).chunk(2, dim=-1)
        return split_heads(plain_norm(k).to(v.dtype), self.heads), split_heads(v, self.heads)

    def forward(self, x: Tensor, k: Tensor, v: Tensor, live: Tensor) -> Tensor:
        """x (rows, T, C), live (rows, 1, 1, n) -> (rows, T, C)."""
        q = split_heads(plain_norm(self.to_q(x)).to(x.dtype), self.heads)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=live)
        return self.proj(out.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Self-attention and feed-forward modulated by the condition, text attention between them unmodulated.

    Every branch has a norm before it and one behind it, the latter before the gate.
    """

    def __init__(self, config: SwittiConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        width = config.width
        self.attn = SelfAttention(config, ops, **place)
        self.cross_attn = CrossAttention(config, ops, **place)
        self.ffn = SwiGLU(width, config.ffn, ops, **place)
        self.self_attention_norm1 = RMSNorm(width, EPS, **place)
        self.self_attention_norm2 = RMSNorm(width, EPS, **place)
        self.cross_attention_norm1 = RMSNorm(width, EPS, **place)
        self.cross_attention_norm2 = RMSNorm(width, EPS, **place)
        self.ffn_norm1 = RMSNorm(width, EPS, **place)
        self.ffn_norm2 = RMSNorm(width, EPS, **place)
        self.attention_y_norm = RMSNorm(config.text_dim, EPS, **place)
        self.ada_lin = nn.Sequential(nn.SiLU(), ops.Linear(width, 6 * width, **place))
        self.crop_cond_scales = nn.Parameter(torch.empty(1, width, **place))

    def modulation(self, condition: Tensor, crop: Tensor, dtype: torch.dtype) -> Tensor:
        """(rows, 1, 6, C) fp32, in the order gamma1, gamma2, scale1, scale2, shift1, shift2."""
        condition = condition + cast_like(self.crop_cond_scales, crop) * crop
        return self.ada_lin(condition.to(dtype)).float().unflatten(-1, (1, 6, -1))

    def forward(self, x: Tensor, layer: int, step: "SwittiStep") -> Tensor:
        """x (rows, T, C), the fp32 residual stream."""
        rows, dtype = x.shape[0], step.dtype
        text = step.state.texts[layer]
        gamma1, gamma2, scale1, scale2, shift1, shift2 = step.state.modulations[layer][
            :rows
        ].unbind(2)
        y = self.self_attention_norm1(x) * (1 + scale1) + shift1
        y = self.attn(y.to(dtype), step.turns, step.state.cache, layer)
        x = x + gamma1 * self.self_attention_norm2(y)
        y = self.cross_attention_norm1(x).to(dtype)
        y = self.cross_attn(y, text[0][:rows], text[1][:rows], step.state.live[:rows])
        x = x + self.cross_attention_norm2(y)
        y = self.ffn_norm1(x) * (1 + scale2) + shift2
        return x + gamma2 * self.ffn_norm2(self.ffn(y.to(dtype)))


class Frequencies(nn.Module):
    """Fixed random frequencies of the crop condition (D/8), kept in fp32: angles reach thousands."""

    def __init__(self, count: int, device: torch.device | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(count, dtype=torch.float32, device=device))

    def forward(self, values: Sequence[int], device: torch.device) -> Tensor:
        """Four integers -> (1, D): sines, then cosines of 2 pi w x, value by value."""
        weight = self.weight.to(device, torch.float32)
        angles = torch.tensor(values, device=device)[:, None] * weight * 2 * math.pi
        return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten()[None]


@dataclass
class SwittiState(Weighable):
    """One run: what depends on the condition alone, computed once, and the cache of the causal kind."""

    first: Tensor  # (rows, 1, C) input of scale 0
    texts: list[tuple[Tensor, Tensor]]  # N x keys and values (rows, H, n, d)
    live: Tensor  # (rows, 1, 1, n)
    modulations: list[Tensor]  # N x (rows, 1, 6, C)
    head: Tensor  # (rows, 1, 2, C)
    cache: KVCache | None  # pyright: ignore[reportIncompatibleVariableOverride]  # only the causal kind has one


@dataclass(frozen=True)
class SwittiStep:
    """What every block of a step is given."""

    state: SwittiState
    turns: Tensor  # (T, d/2, 2)
    dtype: torch.dtype
