"""Numbers with intervals, from samples in blocks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy import linalg

from ..bundled.metrics import Gaussian
from ..bundled.seeds import estimate
from .moments import Moments
from .samples import Samples

T = TypeVar("T")


@dataclass(frozen=True)
class Measured:
    """One number of a setting.

    Attributes:
        title: for people.
        value: of all samples.
        half: half a 95 % interval (Student, over blocks); NaN where it cannot be told.
        blocks: what the interval was made from: means of the blocks, or jackknife values.
        better: "low", "high" or "" where neither is.
        digits: behind the point, for people.
    """

    title: str
    value: float
    half: float
    blocks: tuple[float, ...]
    better: str
    digits: int

    def text(self) -> str:
        """For a table."""
        value = f"{self.value:.{self.digits}f}"
        return value if np.isnan(self.half) else f"{value} ± {self.half:.{self.digits}f}"


def mean_of(
    samples: Samples,
    name: str,
    title: str,
    better: str,
    digits: int,
    of: Callable[[np.ndarray], np.ndarray] = lambda rows: rows,
) -> Measured | None:
    """Mean of a number per sample; None where no sample has it."""
    blocks = samples.means(name, of)
    if not blocks:
        return None
    total = sum(count for _, count in blocks)
    values = [mean for mean, _ in blocks]
    whole = sum(mean * count for mean, count in blocks) / total
    return Measured(title, whole, estimate(values).half, tuple(values), better, digits)


@dataclass(frozen=True)
class FrechetTo:
    """Fréchet distance of Gaussians to one reference, whose square root is taken once."""

    reference: Gaussian
    root: np.ndarray

    @classmethod
    def of(cls, reference: Gaussian) -> "FrechetTo":
        values, vectors = linalg.eigh(reference.covariance)
        return cls(reference, (vectors * np.sqrt(values.clip(0))) @ vectors.T)

    def __call__(self, made: Gaussian) -> float:
        """|m - m_r|² + tr(C + C_r - 2 (C_r^½ C C_r^½)^½)."""
        shared = linalg.eigvalsh(self.root @ made.covariance @ self.root)
        apart = ((made.mean - self.reference.mean) ** 2).sum()
        traces = np.trace(made.covariance) + np.trace(self.reference.covariance)
        return float(apart + traces - 2 * np.sqrt(shared.clip(0)).sum())


def frechet_of(
    blocks: Sequence[Moments], reference: Gaussian, title: str, digits: int = 2
) -> Measured | None:
    """Fréchet distance of features to a reference; None for fewer than two samples.

    The interval is the jackknife's over blocks. The mean of the jackknife values is the distance with the part of its
    excess taken off that shrinks like 1 / samples.
    """
    whole = joined(blocks)
    if whole is None or whole.count < 2:
        return None
    distance = FrechetTo.of(reference)
    value = distance(whole.gaussian())
    if len(blocks) < 2 or any(whole.count - part.count < 2 for part in blocks):
        return Measured(title, value, float("nan"), (), "low", digits)
    left = [distance(whole.without(part).gaussian()) for part in blocks]
    return jackknifed(title, value, left, "low", digits)


def jackknifed(
    title: str, value: float, left: Sequence[float], better: str, digits: int
) -> Measured:
    """From a value of all samples and the values without each block."""
    count = len(left)
    values = tuple(count * value - (count - 1) * one for one in left)
    return Measured(title, value, estimate(values).half, values, better, digits)


def joined(blocks: Sequence[Moments]) -> Moments | None:
    """Blocks together."""
    if not blocks:
        return None
    whole = Moments(blocks[0].width)
    for part in blocks:
        whole.join(part)
    return whole


@dataclass
class ScoreSums:
    """Sums an inception score of a stretch of samples is made from: constant memory."""

    count: int
    chances: np.ndarray  # (C,) sum of p
    negentropy: float  # sum of p log p

    @classmethod
    def of(cls, logits: np.ndarray) -> "ScoreSums":
        """Of logits (n, C)."""
        shifted = logits.astype(np.float64)
        shifted -= shifted.max(1, keepdims=True)
        logs = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
        chances = np.exp(logs)
        return cls(len(logits), chances.sum(0), float((chances * logs).sum()))

    def __add__(self, other: "ScoreSums") -> "ScoreSums":
        return ScoreSums(
            self.count + other.count,
            self.chances + other.chances,
            self.negentropy + other.negentropy,
        )

    def score(self) -> float:
        """exp(mean KL(p(y|x) || p(y))) of these samples as one split."""
        mean = self.chances / self.count
        logs = np.log(mean, out=np.zeros_like(mean), where=mean > 0)
        return float(np.exp(self.negentropy / self.count - (mean * logs).sum()))


def inception_score(samples: Samples, name: str, splits: int) -> Measured | None:
    """Mean over consecutive splits of the samples, as the ADM evaluator has it (5,000 of 50,000 each)."""
    found: dict[int, ScoreSums] = {}
    start = 0
    for shard in samples.shards:
        logits = samples.store.read(shard, [name])[name]
        at = (start + np.arange(len(logits))) * splits // samples.count
        for split in np.unique(at):
            part = ScoreSums.of(logits[at == split])
            found[int(split)] = found[int(split)] + part if int(split) in found else part
        start += len(logits)
    if not found:
        return None
    scores = tuple(found[split].score() for split in sorted(found))
    return Measured("IS", float(np.mean(scores)), estimate(scores).half, scores, "high", 1)
