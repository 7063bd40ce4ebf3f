"""Attention over a run's cache, with weights on the values and keys of single positions."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .cache import KVCache, PositionWeights
from .plain_attention import FEW, Kernel, attend_plainly
from .rope import rotate


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    hidden: Tensor | None = None,
    weights: PositionWeights | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """softmax(q k^T / sqrt(d)) v: q (rows, H, T, d), k and v (rows, G, L, d) -> (rows, H, T, d).

    H is a multiple of G: query heads j H/G .. (j + 1) H/G - 1 share key/value head j (grouped-query attention).

    Args:
        hidden: True where a position must not be seen, broadcastable to (rows, 1, T, L).
        weights: on positions of some rows.
        mask: `hidden` as numbers to add, where the caller has them already.
    """
    if q.shape[1] == k.shape[1]:
        return _attend(q, k, v, hidden, weights, mask, few=q.shape[2] <= FEW)
    # The queries of heads that share keys and values as one longer row of queries: the cache is read as it lies.
    shared = q.shape[1] // k.shape[1]
    hidden, mask = (
        m if m is None or m.shape[-2] == 1 else torch.cat([m] * shared, dim=-2)
        for m in (hidden, mask)
    )
    rows = q.unflatten(1, (-1, shared)).flatten(2, 3)  # (rows, G, H/G * T, d)
    out = _attend(rows, k, v, hidden, weights, mask, few=q.shape[2] <= FEW)
    return out.unflatten(2, (shared, -1)).flatten(1, 2)


def _attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    hidden: Tensor | None,
    weights: PositionWeights | None,
    mask: Tensor | None,
    few: bool,
) -> Tensor:
    """`attend` for as many query heads as key heads; `few`: queries of a decoding step."""
    if mask is None and hidden is not None:
        mask = ~hidden
    if not few or weights is None or q.shape[0] <= weights.first_row:
        return attend_many(q, k, v, mask, weights)
    if q.dtype == torch.float32:
        # All rows alike: to part them and join them again takes longer than what is computed.
        return _attend_faded(q, k, v, hidden, weights, weights.first_row)
    # Scores of half precision are rounded; rows without weights are spared that.
    plain, faded = slice(weights.first_row), slice(weights.first_row, None)
    return torch.cat(
        (
            F.scaled_dot_product_attention(
                q[plain], k[plain], v[plain], attn_mask=_of_rows(mask, plain)
            ),
            _attend_faded(q[faded], k[faded], v[faded], _of_rows(hidden, faded), weights, 0),
        )
    )


def _attend_faded(
    q: Tensor, k: Tensor, v: Tensor, hidden: Tensor | None, weights: PositionWeights, first: int
) -> Tensor:
    """Attention of a decoding step, its rows weighted from `first` on: two matrix products that read keys and values once, as
    they lie.
    """
    scores = ((q * (1 / math.sqrt(q.shape[-1]))) @ k.transpose(-1, -2)).float()  # (rows, H, T, L)
    weights.scale(scores[first:], weights.keys)
    if hidden is not None:
        scores = scores.masked_fill(hidden, -math.inf)
    maps = scores.softmax(-1)
    weights.scale(maps[first:], weights.values)
    return maps.to(v.dtype) @ v


def _of_rows(mask: Tensor | None, rows: slice) -> Tensor | None:
    """The mask of some rows; one that is the same for all has no rows of its own."""
    return mask if mask is None or mask.dim() < 4 or mask.shape[0] == 1 else mask[rows]


def added_mask(hidden: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """What to add to the scores so that `hidden` positions are not seen."""
    if hidden is None:
        return None
    return torch.zeros(hidden.shape, dtype=dtype, device=hidden.device).masked_fill_(
        hidden, -math.inf
    )


def attend_many(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    seen: Tensor | None = None,
    weights: PositionWeights | None = None,
    scale: float | None = None,
    kernel: Kernel | None = None,
) -> Tensor:
    """Fused attention of many queries at once: shapes as in `attend`.

    Args:
        seen: True where a position may be seen, or numbers to add to the scores.
        weights: on positions of some rows, which are then computed in single precision: what is in half precision already
            does not change by a thousandth.
        scale: of q k^T; by default 1 / sqrt(d).
        kernel: of what has neither a mask nor weights, see `attend_plainly`.
    """
    if weights is None or q.shape[0] <= weights.first_row:
        return _fused(q, k, v, seen, scale, kernel)
    plain, faded = slice(weights.first_row), slice(weights.first_row, None)
    masks = [_of_rows(seen, rows) for rows in (plain, faded)]
    keys, values = weights.scaled(k[faded], weights.keys), weights.scaled(v[faded], weights.values)
    return torch.cat(
        (
            _fused(q[plain], k[plain], v[plain], masks[0], scale, kernel),
            F.scaled_dot_product_attention(
                q[faded].float(), keys, values, attn_mask=masks[1], scale=scale
            ).to(q.dtype),
        )
    )


def _fused(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    seen: Tensor | None,
    scale: float | None,
    kernel: Kernel | None,
) -> Tensor:
    """One fused call; without a mask, by the chosen kernel."""
    if seen is None:
        return attend_plainly(q, k, v, kernel, scale)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=scale)


@dataclass(frozen=True)
class Sight:
    """What one forward pass sees: positions of its tokens, the cache, hidden columns.

    Attributes:
        table: (T, d/2, 2) rotations of this pass's positions, or (rows, 1, T, d/2, 2) where rows have their own.
        hidden: see `attend`.
        cache: of the run; None when a whole sequence is passed at once.
        turn: how `table` turns queries and keys: which components of a head are pairs.
        mask: `hidden` as numbers to add, made once for all layers.
    """

    table: Tensor
    hidden: Tensor | None = None
    cache: KVCache | None = None
    turn: Callable[[Tensor, Tensor], Tensor] = rotate
    mask: Tensor | None = None

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Rotate, store, attend: q (rows, H, T, d), k and v (rows, G, T, d) -> (rows, T, H d)."""
        # Together: half as many small operations.
        both = self.turn(torch.cat((q, k), dim=1), self.table).to(v.dtype)
        q, k = both.split((q.shape[1], k.shape[1]), dim=1)
        weights = None
        if self.cache is not None:
            k, v = self.cache.append(layer, k, v)
            weights = self.cache.weights
        return attend(q, k, v, self.hidden, weights, self.mask).transpose(1, 2).flatten(2)
