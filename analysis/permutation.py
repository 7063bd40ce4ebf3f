"""Whether curves measured on a few images move more than chance moves them.

The same images (classes and seeds) are measured at every scale, so an image's numbers over the scales belong
together: tests and resampling treat each image's whole row as one thing. Letters: N images, P scales.
"""

import torch
from torch import Tensor

TRIES = 1023  # sign changes of a test, resamplings of an interval
CHANCE = 0.05  # a movement that chance makes more often than this is called noise
ROUNDING = 1e-9  # what moves less does not move
FEWEST = 6  # images below which no movement can be told from chance: 2^-(N-1) passes CHANCE


def chance_of(rows: Tensor) -> float:
    """How often chance alone would move the mean over images at least as much, 0-1, from rows (N, P).

    A sign-change test. If the scale had no say, an image's row less its own mean would be as likely upside down, so
    the mean of rows with random signs is what chance looks like. Neighbouring scales may resemble each other: whole
    rows change sign.
    """
    rows = rows.double()
    rows = rows - rows.mean(1, keepdim=True)
    generator = torch.Generator().manual_seed(0)
    signs = torch.randint(2, (TRIES, len(rows)), generator=generator).double() * 2 - 1
    moved = (rows.mean(0) ** 2).sum()
    if moved < ROUNDING**2:
        return 1.0
    by_chance = ((signs @ rows / len(rows)) ** 2).sum(1)
    return float((1 + (by_chance >= moved * (1 - 1e-9)).sum()) / (TRIES + 1))


def resampled(images: int) -> Tensor:
    """Weights (TRIES, N), each row summing to 1: the share every image has in a resampling with replacement."""
    generator = torch.Generator().manual_seed(0)
    picks = torch.randint(images, (TRIES, images), generator=generator)
    weights = torch.zeros(TRIES, images, dtype=torch.float64)
    weights.scatter_add_(1, picks, torch.ones_like(picks, dtype=torch.float64))
    return weights / images


def middle_share(values: list[float], share: float) -> tuple[float, float]:
    """Ends of the middle `share` of some numbers."""
    places = torch.tensor([(1 - share) / 2, (1 + share) / 2], dtype=torch.float64)
    low, high = torch.tensor(values, dtype=torch.float64).quantile(places).tolist()
    return low, high
