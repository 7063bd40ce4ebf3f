"""A run's keys and values in 8 bits: little more than half of what half precision takes, and a quarter of single precision.

Every head's vector at a position is stored as integers of -127 to 127 times a scale of its own, its largest number / 127, so
that a number is rounded by 1/254 of the largest at most. Whatever looks at a position sees the rounded vector, in the pass that made
it too: how many positions a pass reads changes nothing.
"""

import torch
from torch import Tensor

from .cache import KVCache

LEVELS = 127


class EightBitCache(KVCache):
    """As `KVCache`, of which `append` gives the rounded numbers in the run's type."""

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
        super().__init__(layers, rows, heads, length, head_dim, torch.int8, device, start)
        scales = (layers, rows, heads, length, 1)
        self.key_scales = torch.empty(scales, dtype=dtype, device=device)
        self.value_scales = torch.empty(scales, dtype=dtype, device=device)

    @staticmethod
    def bytes(layers: int, rows: int, heads: int, length: int, head_dim: int, itemsize: int) -> int:
        """As `KVCache.bytes`, with one layer's vectors in the run's type, where they are used; `itemsize`: of that type."""
        one_layer = KVCache.bytes(1, rows, heads, length, head_dim, itemsize)
        return KVCache.bytes(layers, rows, heads, length, 1, head_dim + itemsize) + one_layer

    def append(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        keys = self._append(self.keys[layer], self.key_scales[layer], k)
        return keys, self._append(self.values[layer], self.value_scales[layer], v)

    def _append(self, stored: Tensor, scales: Tensor, new: Tensor) -> Tensor:
        """Store new vectors (rows, heads, T, head_dim) of a layer; all so far, in the run's type."""
        rows, end = new.shape[0], self.filled + new.shape[2]
        if end > stored.shape[2]:  # the last step, which nobody looks back at
            before = slice(self.filled)
            return torch.cat((stored[:rows, :, before] * scales[:rows, :, before], new), dim=2)
        numbers, scale = rounded(new.to(scales.dtype))
        stored[:rows, :, self.filled : end] = numbers
        scales[:rows, :, self.filled : end] = scale
        return stored[:rows, :, :end] * scales[:rows, :, :end]


def rounded(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors (..., d) as integers (..., d) in 8 bits and their scales (..., 1), in the vectors' type."""
    least = torch.finfo(vectors.dtype).tiny  # a vector of zeros has a scale, too
    scale = (vectors.abs().amax(-1, keepdim=True) / LEVELS).clamp_min_(least)
    return (vectors.float() / scale.float()).round_().to(torch.int8), scale
