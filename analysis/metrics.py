"""What the IGG paper measures of a guidance (arXiv 2509.23876, section 4): pure functions of recorded maps.

Letters: m (..., N) non-negative magnitudes of a step's tokens, usually L2 norms of the term gamma D that is added; V
length of a token's row of logits.

Low evenness and high divergence are good (Tables 1 and 4: "Evn down, Div up"): guidance that gathers on the subject.

Eq. 3 and 4 take the entropy and the divergence of "the guidance distribution" and do not say how nudges of V numbers
become one number per token. `distribution` holds both readings there are here: a softmax over the tokens of m / sqrt(V),
the normaliser of Eq. 6, and shares of m. Shares cannot depend on gamma, while section 6.3 has both scores move with it;
`python -m benchmarks.metric_readings` compares seven readings on the bundled model.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def distribution(magnitudes: Tensor, vocabulary: int | None = None) -> Tensor:
    """Magnitudes (..., N) as a distribution over positions.

    Args:
        magnitudes: of the tokens.
        vocabulary: V, for the softmax of m / sqrt(V); None for the shares m / sum m, uniform where all are zero.
    """
    if vocabulary is not None:
        return (magnitudes / math.sqrt(vocabulary)).softmax(-1)
    total = magnitudes.sum(-1, keepdim=True)
    uniform = torch.full_like(magnitudes, 1 / magnitudes.shape[-1])
    return torch.where(
        total > 0, magnitudes / total.clamp_min(torch.finfo(total.dtype).tiny), uniform
    )


def evenness(magnitudes: Tensor, vocabulary: int | None = None) -> Tensor:
    """Pielou's index (Eq. 3): entropy of the distribution over positions / ln N. (..., N) -> (...).

    1 = all tokens are pushed alike, near 0 = a few take it all; low is good. `vocabulary` as in `distribution`.
    """
    count = magnitudes.shape[-1]
    if count == 1:
        return magnitudes.new_ones(magnitudes.shape[:-1])
    return torch.special.entr(distribution(magnitudes, vocabulary)).sum(-1) / math.log(count)


def js_distance(p: Tensor, q: Tensor) -> Tensor:
    """Jensen-Shannon distance in base 2, 0-1, of distributions (..., N)."""
    middle = torch.special.entr((p + q) / 2).sum(-1)
    ends = (torch.special.entr(p).sum(-1) + torch.special.entr(q).sum(-1)) / 2
    return ((middle - ends) / math.log(2)).clamp_min(0).sqrt()


def divergence(magnitudes: Tensor, picks: Tensor, vocabulary: int | None = None) -> Tensor:
    """How differently the guidance treats the background (Eq. 4, Alg. 1): 0 = alike, 1 = entirely unlike; high is good.

    A background to which nothing at all is added, where the rest gets some, is entirely unlike: no distribution says so, for
    that of nothing would be the uniform one.

    Args:
        magnitudes: (..., N).
        picks: (N,) positions of the background, drawn with replacement (`background_picks`).
        vocabulary: as in `distribution`.
    """
    behind = magnitudes[..., picks]
    distance = js_distance(distribution(magnitudes, vocabulary), distribution(behind, vocabulary))
    untouched = (behind.amax(-1) == 0) & (magnitudes.amax(-1) > 0)
    return torch.where(untouched, torch.ones_like(distance), distance)


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
