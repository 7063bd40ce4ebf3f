"""Mean and covariance of features that come in parts: memory does not grow with their number."""

from dataclasses import dataclass, field

import numpy as np

from ..bundled.metrics import Gaussian


@dataclass
class Moments:
    """Count, mean (D,) and scatter (D, D) = sum of (x - mean)(x - mean)^T, in double precision.

    Parts are joined by the pairwise update of Chan, Golub and LeVeque (1983): every part's own scatter is about its own
    mean, so nothing large is subtracted from anything large.
    """

    width: int
    count: int = 0
    mean: np.ndarray = field(default_factory=lambda: np.empty(0))
    scatter: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))

    def __post_init__(self) -> None:
        if not self.mean.size:
            self.mean = np.zeros(self.width)
            self.scatter = np.zeros((self.width, self.width))

    def add(self, rows: np.ndarray) -> None:
        """Take in features (n, D)."""
        if len(rows):
            double = rows.astype(np.float64)
            mean = double.mean(0)
            apart = double - mean
            self.join(Moments(self.width, len(rows), mean, apart.T @ apart))

    def join(self, other: "Moments") -> None:
        """Take in what others counted."""
        total = self.count + other.count
        if not total:
            return
        apart = other.mean - self.mean
        self.scatter = (
            self.scatter
            + other.scatter
            + np.outer(apart, apart) * (self.count * other.count / total)
        )
        self.mean = self.mean + apart * (other.count / total)
        self.count = total

    def without(self, part: "Moments") -> "Moments":
        """What is left when a part that was taken in is taken out."""
        left = self.count - part.count
        mean = (self.mean * self.count - part.mean * part.count) / left
        apart = part.mean - mean
        scatter = (
            self.scatter - part.scatter - np.outer(apart, apart) * (left * part.count / self.count)
        )
        return Moments(self.width, left, mean, scatter)

    def gaussian(self) -> Gaussian:
        """Mean and unbiased covariance."""
        return Gaussian(self.mean, self.scatter / (self.count - 1))
