"""What every scale-wise network does alike: how large its cache is, and making one."""

from typing import Any

import torch

from .cache import KVCache


class Cached:
    """A network whose layers keep keys and values; `config` has depth, heads, width, length and grid."""

    config: Any
    compute_dtype: torch.dtype

    @property
    def positions(self) -> int:
        """Positions whose keys and values are kept from step to step: all but the last step's, which nobody looks back at."""
        h, w = self.config.grid
        return self.config.length - h * w

    @property
    def text_positions(self) -> int:
        """Text rows whose keys and values are kept beside them, at most."""
        return 0

    def cache_bytes(self, rows: int) -> int:
        """Memory of the keys and values of a run with `rows` = branches x batch."""
        c = self.config
        length = self.positions + self.text_positions
        itemsize = self.compute_dtype.itemsize
        return KVCache.bytes(c.depth, rows, c.heads, length, c.width // c.heads, itemsize)

    def new_cache(self, rows: int, device: torch.device, **options: Any) -> KVCache:
        """An empty cache for `rows` = branches x batch; `options`: of `KVCache`."""
        c = self.config
        size = c.depth, rows, c.heads, self.positions, c.width // c.heads
        return KVCache(*size, self.compute_dtype, device, **options)
