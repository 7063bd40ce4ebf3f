"""Numbers measured once per seed: their mean, how sure it is, and differences of settings seed by seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.special import stdtrit

T = TypeVar("T")


@dataclass(frozen=True)
class Estimate:
    """A mean and half the width of its interval."""

    mean: float
    half: float

    @property
    def differs(self) -> bool:
        """Whether zero lies outside the interval."""
        return abs(self.mean) > self.half


def jackknife(parts: Sequence[T], measure: Callable[[list[T]], float]) -> list[float]:
    """A value per part: S m - (S - 1) m without it, for a measure of all S parts together.

    Their mean is the measure with the part of its bias that shrinks like 1 / S taken off; they scatter like S single
    measurements would.
    """
    count, whole = len(parts), measure(list(parts))
    left = [measure([p for k, p in enumerate(parts) if k != skipped]) for skipped in range(count)]
    return [count * whole - (count - 1) * value for value in left]


def estimate(values: Sequence[float], share: float = 0.95) -> Estimate:
    """Mean of values, one per seed, with Student's interval."""
    count = len(values)
    if count < 2:
        return Estimate(float(np.mean(values)), float("nan"))
    error = np.std(values, ddof=1) / count**0.5
    return Estimate(float(np.mean(values)), float(stdtrit(count - 1, (1 + share) / 2) * error))


def difference(a: Sequence[float], b: Sequence[float], share: float = 0.95) -> Estimate:
    """Mean of a - b: seed by seed where both have the same seeds, else of two independent samples (Welch)."""
    if len(a) == len(b):
        return estimate(np.subtract(a, b).tolist(), share)
    parts = [(np.var(v, ddof=1) / len(v), len(v) - 1) for v in (a, b)]
    total = sum(variance for variance, _ in parts)
    freedom = total**2 / sum(variance**2 / free for variance, free in parts)
    half = stdtrit(freedom, (1 + share) / 2) * total**0.5
    return Estimate(float(np.mean(a) - np.mean(b)), float(half))


def over_strengths(rows: Sequence[Sequence[float]]) -> list[float]:
    """One value per seed from one row of seeds per strength: the mean over the strengths, of the seeds all have."""
    count = min(len(row) for row in rows)
    return np.mean([row[:count] for row in rows], axis=0).tolist()
