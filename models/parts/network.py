"""What every network offers, and what every scale-wise one does alike: how large its cache is, and making one."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from .cache import KVCache
from .grid import Grid
from .module import ConfiguredModule
from .text import NetworkCondition


class Network(Protocol):
    """A module built from a config; `compute_dtype`: of its matrix products."""

    config: Any
    compute_dtype: torch.dtype

    def eval(self) -> nn.Module: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def state_dict(self) -> dict[str, Tensor]: ...


class Transformer(Network, Protocol):
    """A network that predicts tokens; which loop runs it, its family says."""

    def null_condition(self, batch: int) -> NetworkCondition:
        """The unconditional branch's condition, where the family says that it comes from the model."""
        ...

    def cache_bytes(self, rows: int, *, cache: type[KVCache] = KVCache) -> int:
        """Memory of what is kept between steps for `rows` = branches x batch; `cache`: of keys and values, if it has one."""
        ...


B = TypeVar("B")  # a config


class BranchedModule(ConfiguredModule[B]):
    """A network that runs the branches of a step as rows of one batch."""

    def follow(
        self, state: object, branches: Sequence[NetworkCondition], conditional: Sequence[int]
    ) -> None:
        """Told once a run of several conditions has begun: which of its branches are conditional. Most need not know."""


class CachedConfig(Protocol):
    """Sizes of a network with a cache."""

    @property
    def grid(self) -> Grid: ...

    @property
    def depth(self) -> int: ...

    @property
    def heads(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def length(self) -> int: ...


S = TypeVar("S", bound=CachedConfig)


class Cached(BranchedModule[S]):
    """A network whose layers keep keys and values."""

    @property
    def positions(self) -> int:
        """Positions whose keys and values are kept from step to step: all but the last step's, which nobody looks back at."""
        h, w = self.config.grid
        return self.config.length - h * w

    @property
    def text_positions(self) -> int:
        """Text rows whose keys and values are kept beside them, at most."""
        return 0

    def cache_bytes(self, rows: int, *, cache: type[KVCache] = KVCache) -> int:
        """Memory of the keys and values of a run with `rows` = branches x batch."""
        c = self.config
        width, itemsize = c.width // c.heads, self.compute_dtype.itemsize
        text = KVCache.bytes(c.depth, rows, c.heads, self.text_positions, width, itemsize)
        return text + cache.bytes(c.depth, rows, c.heads, self.positions, width, itemsize)

    @property
    def last_bytes(self) -> int:
        """Memory that one row's keys and values of all positions take in the last step's attention: they are not in the cache."""
        positions = self.config.length if self.positions else 0
        return 2 * self.config.width * positions * self.compute_dtype.itemsize

    def new_cache(
        self, kind: type[KVCache], rows: int, device: torch.device, start: int = 0
    ) -> KVCache:
        """An empty cache of a kind for `rows` = branches x batch; `start`: position of image token 0."""
        c = self.config
        size = c.depth, rows, c.heads, self.positions, c.width // c.heads
        return kind(*size, self.compute_dtype, device, start=start)
