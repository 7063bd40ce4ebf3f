"""What the IGG paper measures of a guidance (arXiv 2509.23876, section 6): pure functions of recorded maps.

Letters: m (..., N) non-negative magnitudes of a step's tokens, usually L2 norms of the term that is added.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def distribution(magnitudes: Tensor) -> Tensor:
    """Magnitudes (..., N) as a distribution over positions; uniform where all are zero."""
    total = magnitudes.sum(-1, keepdim=True)
    uniform = torch.full_like(magnitudes, 1 / magnitudes.shape[-1])
    return torch.where(
        total > 0, magnitudes / total.clamp_min(torch.finfo(total.dtype).tiny), uniform
    )


def evenness(magnitudes: Tensor) -> Tensor:
    """Pielou's index: entropy of the distribution over positions / ln N; 1 = all tokens pushed alike. (..., N) -> (...)."""
    count = magnitudes.shape[-1]
    if count == 1:
        return magnitudes.new_ones(magnitudes.shape[:-1])
    return torch.special.entr(distribution(magnitudes)).sum(-1) / math.log(count)


def js_distance(p: Tensor, q: Tensor) -> Tensor:
    """Jensen-Shannon distance in base 2, 0-1, of distributions (..., N)."""
    middle = torch.special.entr((p + q) / 2).sum(-1)
    ends = (torch.special.entr(p).sum(-1) + torch.special.entr(q).sum(-1)) / 2
    return ((middle - ends) / math.log(2)).clamp_min(0).sqrt()


def divergence(magnitudes: Tensor, picks: Tensor) -> Tensor:
    """How differently the guidance treats the background (Alg. 1): 0 = alike.

    Args:
        magnitudes: (..., N).
        picks: (N,) positions of the background, drawn with replacement (`background_picks`).
    """
    return js_distance(distribution(magnitudes), distribution(magnitudes[..., picks]))


def background_picks(background: Tensor, seed: int) -> Tensor:
    """N positions drawn with replacement from the True ones of a mask (N,).

    Raises:
        ValueError: the mask leaves no background, or nothing but background.
    """
    positions = background.flatten().nonzero()[:, 0]
    if len(positions) == 0 or len(positions) == background.numel():
        raise ValueError(
            "divergence compares the background with the whole image, and this mask marks"
            f" {'no pixel' if len(positions) == 0 else 'every pixel'} as background: paint the subject"
        )
    generator = torch.Generator().manual_seed(seed)
    return positions[torch.randint(len(positions), (background.numel(),), generator=generator)]


def weighted_mean(values: Sequence[Tensor | None], counts: Sequence[int]) -> Tensor | None:
    """Mean over steps weighted by their tokens; the first step and missing ones are left out. None if none is left."""
    kept = [(v, n) for v, n in zip(values[1:], counts[1:], strict=True) if v is not None]
    if not kept:
        return None
    total = torch.stack([value * count for value, count in kept]).sum(0)
    return total / sum(count for _, count in kept)
