"""Numbers that compare images with drawings, in the feature space of the classifier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import linalg
from torch import Tensor


@dataclass(frozen=True)
class Gaussian:
    """Mean (D,) and covariance (D, D) of features."""

    mean: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of(cls, features: Tensor) -> Gaussian:
        """Of a set of features (N, D)."""
        rows = features.double().numpy()
        return cls(rows.mean(0), np.cov(rows, rowvar=False))


def frechet(a: Gaussian, b: Gaussian) -> float:
    """Frechet distance of two Gaussians."""
    values, vectors = linalg.eigh(a.covariance)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    # tr sqrt(A B) from a symmetric matrix with the same eigenvalues: sound where few features leave B without full rank
    shared = np.sqrt(linalg.eigvalsh(root @ b.covariance @ root).clip(0)).sum()
    between = ((a.mean - b.mean) ** 2).sum()
    return float(between + np.trace(a.covariance) + np.trace(b.covariance) - 2 * shared)


def nearest(a: Tensor, b: Tensor) -> Tensor:
    """Distance from every row of `a` to its nearest row of `b`."""
    return torch.cat([torch.cdist(part, b).min(1)[0] for part in a.split(256)])


def coarse(pictures: Tensor) -> Tensor:
    """Pictures at 16 x 16, flattened: the space of the second copy check."""
    return torch.nn.functional.avg_pool2d(pictures, 4).flatten(1)


def near_copy_share(made: Tensor, held: Tensor, train: Tensor, percentile: float = 0.05) -> float:
    """Share of `made` nearer to a training drawing than the nearest 5 % of held-out drawings are.

    Held-out drawings score 5 % by construction; a model that copies scores far more.
    """
    limit = nearest(held, train).quantile(percentile)
    return float((nearest(made, train) < limit).float().mean())
