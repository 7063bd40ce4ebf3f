"""Key/value cache of a run: allocated once, branch rows contiguous, so that dropping a branch is a view."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PositionWeights:
    """Factors on cached values and keys of some rows; they lie beside the cache, which is never rewritten.

    Attributes:
        first_row: the weighted rows are first_row .. first_row + B - 1, the last ones (the unconditional branch's).
        start: position the first column belongs to (0 = first of the prefix).
        values, keys: (B, n), or None for weight 1.
    """

    first_row: int
    start: int
    values: Tensor | None = None
    keys: Tensor | None = None

    def scale(self, maps: Tensor, weights: Tensor | None) -> None:
        """Multiply columns of the weighted rows' attention maps (B, H, T, L), single precision, in place by `weights`.

        softmax(q k) diag(w) V weights the values, and (q k) diag(w) before the softmax weights the keys. A weight
        itself is never rounded to half precision: 1 - 1/1000 would be 1 there, and the sum of a thousand such nothing.
        """
        if weights is None:
            return
        columns = maps[:, :, :, self.start : self.start + weights.shape[1]]
        columns.mul_(weights[:, None, None])

    def scaled(self, states: Tensor, weights: Tensor | None) -> Tensor:
        """Keys or values (B, H, L, d) of the weighted rows with their positions multiplied by `weights`, as a copy in single
        precision.

        For many queries at once: a copy is smaller than their attention maps, and fused attention can read it.
        """
        if weights is None:
            return states.float()
        copy = states.to(torch.float32, copy=True)
        copy[:, :, self.start : self.start + weights.shape[1]].mul_(weights[:, None, :, None])
        return copy


class KVCache:
    """Keys and values of every layer for positions seen so far.

    Args:
        layers, heads, head_dim: of the network.
        rows: branches x batch of the first step; later steps may use fewer (the first ones).
        length: positions that a later step of the run looks back at.
        start: position of image token 0.

    `append` stores one layer's new positions; `advance` closes the step once every layer has stored its own. A step beyond
    `length` is the last: nobody looks back at it, so its positions are not kept.
    """

    def __init__(
        self,
        layers: int,
        rows: int,
        heads: int,
        length: int,
        head_dim: int,
        dtype: torch.dtype,
        device: torch.device,
        start: int = 0,
    ) -> None:
        shape = (layers, rows, heads, length, head_dim)
        self.keys = torch.empty(shape, dtype=dtype, device=device)
        self.values = torch.empty(shape, dtype=dtype, device=device)
        self.filled = 0
        self.start = start
        self.weights: PositionWeights | None = None

    def weigh(self, values: Tensor | None, keys: Tensor | None) -> None:
        """Weight values and keys (B, n) of image tokens 0..n-1, from now on, of the last B rows: the unconditional ones."""
        if values is None and keys is None:
            self.weights = None
        else:
            weighted = next(len(given) for given in (values, keys) if given is not None)
            first = self.keys.shape[1] - weighted
            self.weights = PositionWeights(first, self.start, values, keys)

    @staticmethod
    def bytes(layers: int, rows: int, heads: int, length: int, head_dim: int, itemsize: int) -> int:
        """Memory the cache takes, for the host's estimate before the run."""
        return 2 * layers * rows * heads * length * head_dim * itemsize

    def append(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store k and v (rows, heads, T, head_dim) of this step; all positions so far, for the same rows."""
        rows, end = k.shape[0], self.filled + k.shape[2]
        if end > self.keys.shape[3]:
            before = slice(self.filled)
            return (
                torch.cat((self.keys[layer, :rows, :, before], k), dim=2),
                torch.cat((self.values[layer, :rows, :, before], v), dim=2),
            )
        self.keys[layer, :rows, :, self.filled : end] = k
        self.values[layer, :rows, :, self.filled : end] = v
        return self.keys[layer, :rows, :, :end], self.values[layer, :rows, :, :end]

    def advance(self, positions: int) -> None:
        """Every layer has stored this step's positions."""
        self.filled += positions


class LayerCache:
    """What one layer sees: the run's cache while generating, itself under a mask while training."""

    def __init__(self, cache: KVCache | None, layer: int, mask: Tensor | None = None) -> None:
        self.cache, self.layer, self.mask = cache, layer, mask

    def __call__(
        self, k: Tensor, v: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None, PositionWeights | None]:
        """All keys and values so far, the mask, the weights of positions."""
        if self.cache is None:
            return k, v, self.mask, None
        return *self.cache.append(self.layer, k, v), None, self.cache.weights


class Weighable:
    """State of a run with a cache; the loop may weight what it holds of single tokens."""

    cache: KVCache

    def weigh(self, values: Tensor | None, keys: Tensor | None) -> None:
        """See `KVCache.weigh`."""
        self.cache.weigh(values, keys)
