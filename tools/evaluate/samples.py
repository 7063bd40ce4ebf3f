"""The finished samples of one setting, read a shard at a time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .moments import Moments
from .shards import Arrays, Shard
from .store import Store


@dataclass(frozen=True)
class Samples:
    """Numbers of samples in order. Memory holds one shard at a time, and what a reader keeps.

    Attributes:
        shards: the finished ones of the setting, by sample.
        blocks: parts the intervals are made from: stretches of consecutive samples.
    """

    store: Store
    shards: tuple[Shard, ...]
    blocks: int

    @property
    def count(self) -> int:
        return sum(shard.count for shard in self.shards)

    def columns(self) -> list[str]:
        """Names of what was measured."""
        return sorted({name for shard in self.shards for name in self.store.names(shard)})

    def parts(self, names: Sequence[str]) -> Iterator[tuple[int, Arrays]]:
        """(block, numbers of samples that lie in it), in order."""
        for shard in self.shards:
            arrays = self.store.read(shard, names)
            if not arrays:
                continue
            numbers = np.arange(shard.start, shard.end)
            of_block = numbers * self.blocks // self.store.plan.samples
            for block in np.unique(of_block):
                rows = of_block == block
                yield int(block), {name: values[rows] for name, values in arrays.items()}

    def moments(self, name: str) -> list[Moments]:
        """Of features (N, D), by block; blocks without a sample are left out."""
        found: dict[int, Moments] = {}
        for block, arrays in self.parts([name]):
            rows = arrays[name]
            found.setdefault(block, Moments(rows.shape[1])).add(rows)
        return [found[block] for block in sorted(found)]

    def means(
        self, name: str, of: Callable[[np.ndarray], np.ndarray] = lambda rows: rows
    ) -> list[tuple[float, int]]:
        """(mean, how many) of a number per sample, by block; samples where it is NaN do not count."""
        sums: dict[int, tuple[float, int]] = {}
        for block, arrays in self.parts([name]):
            values = of(arrays[name]).astype(np.float64)
            there = values[~np.isnan(values)]
            total, count = sums.get(block, (0.0, 0))
            sums[block] = total + float(there.sum()), count + len(there)
        return [(total / count, count) for _, (total, count) in sorted(sums.items()) if count]

    def some(self, name: str, most: int) -> np.ndarray:
        """At most so many rows, evenly spread over the samples: for measures that need rows side by side."""
        step = max(1, -(-self.count // most))
        rows, seen = [], 0
        for shard in self.shards:
            values = self.store.read(shard, [name])[name]
            rows.append(values[(-seen) % step :: step])
            seen += len(values)
        return np.concatenate(rows)
