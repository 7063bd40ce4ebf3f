"""Units of work: consecutive samples of one setting. Who makes them, when and where does not matter."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .plan import Plan

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Shard:
    """Samples `start` to `end` (not included) of setting number `setting`."""

    setting: int
    start: int
    end: int

    @property
    def count(self) -> int:
        return self.end - self.start

    def batches(self, size: int) -> Iterator[range]:
        """The samples of every pass."""
        for first in range(self.start, self.end, size):
            yield range(first, min(first + size, self.end))


@dataclass(frozen=True)
class Made:
    """What a worker gives back of a shard.

    Attributes:
        shard: which.
        arrays: name -> (count, ...) what was measured of every sample, `tokens` digests among them.
        files: name -> content of what is kept of the samples.
        notes: where and with what it was made, and how long that took.
    """

    shard: Shard
    arrays: Arrays
    files: Mapping[str, bytes]
    notes: Mapping[str, str]


def shards_of(plan: Plan) -> list[Shard]:
    """All work of a plan: model after model, so that a worker loads each once; of a model the first shard of every
    setting, then the second of each, so that a run that is stopped has some samples of all."""
    starts = range(0, plan.samples, plan.shard)
    return [
        Shard(number, start, min(start + plan.shard, plan.samples))
        for model in plan.models
        for start in starts
        for number, setting in enumerate(plan.settings)
        if setting.model == model
    ]


def count_of(shards: Sequence[Shard]) -> int:
    """Samples in shards."""
    return sum(shard.count for shard in shards)
