"""Attention over a run's cache, with weights on the values and keys of single positions."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .cache import KVCache, PositionWeights
from .rope import rotate

FEW = 2  # positions of a decoding step: a token, and a line end where one follows it


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    hidden: Tensor | None = None,
    weights: PositionWeights | None = None,
) -> Tensor:
    """softmax(q k^T / sqrt(d)) v: q (rows, H, T, d), k and v (rows, G, L, d) -> (rows, H, T, d).

    H is a multiple of G: query heads j H/G .. (j + 1) H/G - 1 share key/value head j (grouped-query attention).
    `hidden`: True where a position must not be seen, broadcastable to (rows, 1, T, L).
    """
    if q.shape[1] != k.shape[1]:
        return _grouped(q, k, v, hidden, weights)
    return _attend(q, k, v, hidden, weights, few=q.shape[2] <= FEW)


def _grouped(
    q: Tensor, k: Tensor, v: Tensor, hidden: Tensor | None, weights: PositionWeights | None
) -> Tensor:
    """The queries of heads that share keys and values as one longer row of queries: the cache is read as it lies."""
    shared = q.shape[1] // k.shape[1]
    if hidden is not None and hidden.shape[-2] > 1:
        hidden = torch.cat([hidden] * shared, dim=-2)
    rows = q.unflatten(1, (-1, shared)).flatten(2, 3)  # (rows, G, H/G * T, d)
    out = _attend(rows, k, v, hidden, weights, few=q.shape[2] <= FEW)
    return out.unflatten(2, (shared, -1)).flatten(1, 2)


def _attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    hidden: Tensor | None,
    weights: PositionWeights | None,
    few: bool,
) -> Tensor:
    """`attend` for as many query heads as key heads; `few`: queries of a decoding step."""
    if not few:
        return attend_many(q, k, v, None if hidden is None else ~hidden, weights)
    # A decoding step: two matrix products that read keys and values once, which is all the time there is to lose.
    scores = (q * (1 / math.sqrt(q.shape[-1]))) @ k.transpose(-1, -2)  # (rows, H, T, L)
    if weights is not None:
        scores = scores.float()
        weights.scale(scores, weights.keys)
    if hidden is not None:
        scores = scores.masked_fill(hidden, -math.inf)
    maps = scores.softmax(-1, dtype=torch.float32)
    if weights is not None:
        weights.scale(maps, weights.values)
    return maps.to(v.dtype) @ v


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
        weights: on positions of some rows, which are then computed in single precision: what is in half precision already
            does not change by a thousandth.
        scale: of q k^T; by default 1 / sqrt(d).
    """
    if weights is None or q.shape[0] <= weights.first_row:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=scale)
    plain, faded = slice(weights.first_row), slice(weights.first_row, None)
    masks = [
        seen if seen is None or seen.dim() < 4 or seen.shape[0] == 1 else seen[rows]
        for rows in (plain, faded)
    ]
    keys, values = weights.scaled(k[faded], weights.keys), weights.scaled(v[faded], weights.values)
    return torch.cat(
        (
            F.scaled_dot_product_attention(
                q[plain], k[plain], v[plain], attn_mask=masks[0], scale=scale
            ),
            F.scaled_dot_product_attention(
                q[faded].float(), keys, values, attn_mask=masks[1], scale=scale
            ).to(q.dtype),
        )
    )


@dataclass(frozen=True)
class Sight:
    """What one forward pass sees: positions of its tokens, the cache, hidden columns.

    Attributes:
        table: (2, T, d/2) rotations of this pass's positions, or (2, rows, 1, T, d/2) where rows have their own.
        hidden: see `attend`.
        cache: of the run; None when a whole sequence is passed at once.
        turn: how `table` turns queries and keys: which components of a head are pairs.
    """

    table: Tensor
    hidden: Tensor | None = None
    cache: KVCache | None = None
    turn: Callable[[Tensor, Tensor], Tensor] = rotate

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Rotate, store, attend: q (rows, H, T, d), k and v (rows, G, T, d) -> (rows, T, H d)."""
        # Together: half as many small operations.
        both = self.turn(torch.cat((q, k), dim=1), self.table).to(v.dtype)
        q, k = both.split((q.shape[1], k.shape[1]), dim=1)
        weights = None
        if self.cache is not None:
            k, v = self.cache.append(layer, k, v)
            weights = self.cache.weights
        return attend(q, k, v, self.hidden, weights).transpose(1, 2).flatten(2)
