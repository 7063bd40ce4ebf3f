"""Numbers that compare pictures with drawings, in the feature space of the classifier."""

from __future__ import annotations

import numpy as np
import torch
from scipy import linalg
from torch import Tensor


def frechet(a: Tensor, b: Tensor) -> float:
    """Frechet distance of two sets of features (N, D), each seen as a Gaussian."""
    x, y = a.double().numpy(), b.double().numpy()
    cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = linalg.sqrtm(cov_x @ cov_y).real
    between = ((x.mean(0) - y.mean(0)) ** 2).sum()
    return float(between + np.trace(cov_x + cov_y - 2 * root))


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
