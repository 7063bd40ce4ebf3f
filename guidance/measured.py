"""What a chain records of its steps: lengths of the nudge and of what was added, confidence and entropies."""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import cast

import torch
from torch import Tensor
from torch.linalg import vector_norm

from .head import Head
from .record import without_rounding
from .waiting import Maps, Measurement, Part, Picks, picked

LENGTHS, CERTAINTY = ("nudge", "added"), ("confidence", "entropy")
# Of some tokens: entropies of the conditional prediction and of softmax(c - u) (SoftCFG, Fig. 3 and App. C).
SAMPLED = ("conditional entropy", "nudge entropy")
Parts = Sequence[Tensor]  # (B, T, V) of every step


@lru_cache
def refined(head: Head | None, lent: int) -> Measurement:
    """Of steps where u was left out: c, guided, and the lengths (B, T) of their difference; `head`, `lent` as in `combined`."""
    names = ("added",) if head is None else ("added", *CERTAINTY)
    return Measurement(names, partial(_refined, head), lent)


@lru_cache
def combined(
    head: Head | None, lent: int, called: tuple[str, ...] = (), alone: bool = False
) -> Measurement:
    """Of steps where the branches were combined: c, guided, c - u, and the lengths (B, T) of what was added to u.

    Args:
        head: None = the channels are no prediction of tokens: lengths are all that is found.
        lent: how many of the first two others may write over.
        called: further names of the nudge's lengths, which then count as they are, rounding or not.
        alone: gamma (c - u) was added, and gamma is given in place of the lengths.
    """
    names, measure = (*called, *LENGTHS), partial(_combined, head, len(called), alone)
    if head is None:
        return Measurement(names, measure, lent)
    return Measurement((*names, *CERTAINTY), measure, lent, SAMPLED)


def _refined(head: Head | None, _: Picks, conds: Parts, guideds: Parts, added: Parts) -> Maps:
    beside, *certainty = _certainty(head, conds, guideds, [])
    return without_rounding(joined(added), beside), *certainty


def _combined(
    head: Head | None,
    called: int,
    alone: bool,
    picks: Picks,
    conds: Parts,
    guideds: Parts,
    nudges: Parts,
    added: Sequence[Part],
) -> Maps:
    lengths = length(joined(nudges))
    if alone:
        sums = lengths * _by_token(cast(Sequence[float], added), nudges, lengths)
    else:
        sums = joined(cast(Parts, added))
    some = [*picked(conds, picks), *picked(nudges, picks)] if picks else []
    beside, *certainty = _certainty(head, conds, guideds, some)
    changes = without_rounding(lengths, beside), without_rounding(sums, beside)
    return *(lengths,) * called, *changes, *certainty


def _certainty(head: Head | None, conds: Parts, guideds: Parts, some: Parts) -> Maps:
    """Norms of c, and with a head its confidence, the entropy of guided and those of the first and second half of `some`.

    A step that is alone may be large: it is not copied. Others are put together for one softmax.
    """
    if head is None:
        return (length(joined(conds)),)
    if len(conds) == 1:
        beside, confidence = length(conds[0]), head.confidence(conds[0])
        entropy = head.entropy(guideds[0])
        if some:
            entropy = torch.cat((entropy, head.entropy(joined(some))), dim=1)
    else:
        together = torch.cat([*guideds, *some, *conds], dim=1)
        count = together.shape[1] - sum(cond.shape[1] for cond in conds)
        entropy, confidence = head.entropy_and_confidence(together, count)
        beside = length(together[:, count:])
    beyond = (entropy.shape[1] - confidence.shape[1]) // 2
    return beside, confidence, *entropy.split((confidence.shape[1], beyond, beyond), dim=1)


def _by_token(gammas: Sequence[float], nudges: Parts, like: Tensor) -> Tensor | float:
    """|gamma| of every token's step: a number where they are all the same."""
    if len(set(gammas)) == 1:
        return abs(gammas[0])
    steps = zip(gammas, nudges, strict=True)
    return like.new_tensor([abs(g) for g, nudge in steps for _ in range(nudge.shape[1])])


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Tensors (B, T, ...) side by side; one alone is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=1)


def length(logits: Tensor) -> Tensor:
    """L2 norms (B, T)."""
    return vector_norm(logits, dim=-1)
