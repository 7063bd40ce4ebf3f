"""Key/value cache of a run: allocated once, branch rows contiguous, so that dropping a branch is a view."""

import torch
from torch import Tensor


class KVCache:
    """Keys and values of every layer for positions seen so far.

    Args:
        layers, heads, head_dim: of the network.
        rows: branches x batch of the first step; later steps may use fewer (the first ones).
        length: positions of the whole run.

    `append` stores one layer's new positions; `advance` closes the step once every layer has stored its own.
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
    ) -> None:
        shape = (layers, rows, heads, length, head_dim)
        self.keys = torch.empty(shape, dtype=dtype, device=device)
        self.values = torch.empty(shape, dtype=dtype, device=device)
        self.filled = 0

    @staticmethod
    def bytes(layers: int, rows: int, heads: int, length: int, head_dim: int, itemsize: int) -> int:
        """Memory the cache takes, for the host's estimate before the run."""
        return 2 * layers * rows * heads * length * head_dim * itemsize

    def append(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store k and v (rows, heads, T, head_dim) of this step; all positions so far, for the same rows."""
        rows, end = k.shape[0], self.filled + k.shape[2]
        self.keys[layer, :rows, :, self.filled : end] = k
        self.values[layer, :rows, :, self.filled : end] = v
        return self.keys[layer, :rows, :, :end], self.values[layer, :rows, :, :end]

    def advance(self, positions: int) -> None:
        """Every layer has stored this step's positions."""
        self.filled += positions
