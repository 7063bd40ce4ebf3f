"""Layers of Infinity: VAR's attention with rotary positions, attention to the text, VAR's modulation and feed-forward.

Letters as in `infinity.py`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from ..parts.cache import KVCache
from ..parts.cast import cast_like
from ..parts.feedforward import FeedForward
from ..parts.norms import plain_norm
from ..parts.operations import Operations, Place
from ..parts.rope import line_angles, rotate
from ..var import Attention
from .config import InfinityConfig


def grid_angles(head_dim: int, rows: Tensor, columns: Tensor) -> Tensor:
    """Rotary angles (T, d/2) of positions (T,), (T,): rows in the first half, columns in the second.

    Frequencies 10000^(-2j / (d/2)), j = 0..d/4-1.
    """
    return torch.cat([line_angles(place, head_dim // 4) for place in (rows, columns)], dim=-1)


def grid_positions(
    grid: tuple[int, int], whole: tuple[int, int], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Row and column (T,) of every token in the grid of the largest scale, round(i H / h), halves to even."""
    h, w = grid
    rows = (torch.arange(h, device=device) * (whole[0] / h)).round()
    columns = (torch.arange(w, device=device) * (whole[1] / w)).round()
    return rows[:, None].expand(h, w).flatten(), columns[None].expand(h, w).flatten()


class CrossAttention(nn.Module):
    """Attention to the text, whose keys and values are the same at every scale.

    Args:
        query: parameter or layer the queries come from.
        width: C; text: width of the text rows; heads: H.
    """

    def __init__(
        self,
        query: nn.Linear | nn.Parameter,
        width: int,
        text: int,
        heads: int,
        ops: Operations,
        **place: Unpack[Place],
    ) -> None:
        super().__init__()
        self.heads = heads
        self.mat_q = query
        self.mat_kv = ops.Linear(text, 2 * width, bias=False, **place)
        self.v_bias = nn.Parameter(torch.empty(width, **place))
        self.register_buffer("zero_k_bias", torch.zeros(width, **place))
        self.proj = ops.Linear(width, width, **place)

    def text(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (rows, H, n, d) of text rows (rows, n, ...)."""
        k, v = self.mat_kv(rows).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        v.add_(
            cast_like(self.v_bias, v).unflatten(0, (self.heads, 1, -1))
        )  # kept for a run: no second copy
        return k, v

    def attend(self, q: Tensor, k: Tensor, v: Tensor, live: Tensor) -> Tensor:
        """q (rows, H, T, d), live (rows, 1, 1, n) -> (rows, T, C)."""
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=live)
        return self.proj(out.transpose(1, 2).flatten(2))

    def forward(self, x: Tensor, k: Tensor, v: Tensor, live: Tensor) -> Tensor:
        """x (rows, T, C) -> (rows, T, C)."""
        assert isinstance(self.mat_q, nn.Linear), "the queries are the layer's"
        q = self.mat_q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return self.attend(q, k, v, live)


class Pool(nn.Module):
    """Text rows -> one vector, by attention of a learned query (keys `text_proj_for_sos.ca.*`)."""

    def __init__(
        self, width: int, text: int, heads: int, ops: Operations, **place: Unpack[Place]
    ) -> None:
        super().__init__()
        query = nn.Parameter(torch.empty(1, heads, width // heads, **place))
        self.ca = CrossAttention(query, width, text, heads, ops, **place)

    def forward(self, rows: Tensor, live: Tensor) -> Tensor:
        """(rows, n, E) -> (rows, C)."""
        k, v = self.ca.text(rows)
        assert isinstance(self.ca.mat_q, nn.Parameter), "the queries are learned"
        query = cast_like(self.ca.mat_q, k)  # (1, H, d)
        q = query[:, :, None].expand(rows.shape[0], -1, -1, -1)
        return self.ca.attend(q, k, v, live)[:, 0]


class Block(nn.Module):
    """Self-attention and feed-forward modulated by the condition, text attention between them unmodulated."""

    def __init__(self, config: InfinityConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        width = config.width
        self.sa = Attention(config, ops, **place)
        query = ops.Linear(width, width, **place)
        self.ca = CrossAttention(query, width, width, config.heads, ops, **place)
        self.ca_norm = ops.LayerNorm(width, eps=1e-6, **place)
        self.ffn = FeedForward(config, ops, **place)
        self.ada_gss = nn.Parameter(torch.empty(1, 1, 6, width, **place))

    def forward(
        self,
        x: Tensor,
        shared: Tensor,
        text: tuple[Tensor, Tensor, Tensor],
        table: Tensor,
        cache: tuple[KVCache, int],
        dtype: torch.dtype,
    ) -> Tensor:
        """x (rows, T, C), the fp32 residual stream.

        Args:
            shared: (rows, 1, 6, C) modulation all blocks share: gamma1, gamma2, scale1, scale2, shift1, shift2.
            text: keys and values (rows, H, n, d), and which are real, (rows, 1, 1, n).
            table: (T, d/2, 2) rotary turns of the step's tokens.
            cache: the run's cache and the place of this block in it.
            dtype: of the matrix products.
        """
        gamma1, gamma2, scale1, scale2, shift1, shift2 = (
            cast_like(self.ada_gss, shared) + shared
        ).unbind(2)
        y = (plain_norm(x) * (1 + scale1) + shift1).to(dtype)
        x = x + gamma1 * self._attend(y, table, cache)
        x = x + self.ca(self.ca_norm(x.to(dtype)), *text).float()
        return x + gamma2 * self.ffn((plain_norm(x) * (1 + scale2) + shift2).to(dtype)).float()

    def _attend(self, x: Tensor, table: Tensor, cache: tuple[KVCache, int]) -> Tensor:
        """(rows, T, C), fp32; queries, keys and values are gone before the feed-forward takes its memory."""
        q, k, v = self.sa.project(x)
        keys, values = cache[0].append(cache[1], rotate(k, table), v)
        q = rotate(q, table)
        return self.sa.attend(q, keys, values, weights=cache[0].weights).float()
