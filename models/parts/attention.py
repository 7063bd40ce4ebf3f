"""Attention over a run's cache, with weights on the values and keys of single positions."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .cache import KVCache, PositionWeights
from .rope import rotate


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    hidden: Tensor | None = None,
    weights: PositionWeights | None = None,
) -> Tensor:
    """softmax(q k^T / sqrt(d)) v: q (rows, H, T, d), k and v (rows, H, L, d) -> (rows, H, T, d).

    `hidden`: True where a position must not be seen, broadcastable to (rows, H, T, L).
    """
    if q.shape[2] > 1:
        return attend_many(q, k, v, None if hidden is None else ~hidden, weights)
    # One query: two matrix products that read keys and values once, which is all the time there is to lose.
    scores = (q * (1 / math.sqrt(q.shape[-1]))) @ k.transpose(-1, -2)  # (rows, H, T, L)
    if weights is not None:
        weights.scale(scores, weights.keys)
    if hidden is not None:
        scores = scores.masked_fill(hidden, -math.inf)
    maps = scores.softmax(-1, dtype=torch.float32).to(v.dtype)
    if weights is not None:
        weights.scale(maps, weights.values)
    return maps @ v


def attend_many(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    seen: Tensor | None = None,
    weights: PositionWeights | None = None,
    scale: float | None = None,
) -> Tensor:
    """Fused attention of many queries at once: shapes as in `attend`.

    Args:
        seen: True where a position may be seen.
        weights: on positions of some rows.
        scale: of q k^T; by default 1 / sqrt(d).
    """
    if weights is not None:
        k, v = weights.scaled(k, weights.keys), weights.scaled(v, weights.values)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=scale)


@dataclass(frozen=True)
class Sight:
    """What one forward pass sees: positions of its tokens, the cache, hidden columns.

    Attributes:
        table: (2, T, d/2) rotations of this pass's positions.
        hidden: see `attend`.
        cache: of the run; None when a whole sequence is passed at once.
    """

    table: Tensor
    hidden: Tensor | None = None
    cache: KVCache | None = None

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Rotate, store, attend: q, k, v (rows, H, T, d) -> (rows, T, D)."""
        both = rotate(
            torch.cat((q, k), dim=1), self.table
        )  # together: half as many small operations
        q, k = both.split((q.shape[1], k.shape[1]), dim=1)
        weights = None
        if self.cache is not None:
            k, v = self.cache.append(layer, k, v)
            weights = self.cache.weights
        return attend(q, k, v, self.hidden, weights).transpose(1, 2).flatten(2)
