"""What the logits of a step predict: one token out of V classes, or D bits that are drawn each by itself (Infinity).

Guidance acts on flat channels (B, T, V); for bits V = 2 D, channels 2 b and 2 b + 1 being bit b off and on. As the bits
are independent, a token's probability is the product over its bits, and its entropy the sum, so that D bits and one
categorical head over the 2^D tokens they spell measure the same.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

LOWEST = -70.0  # log-probabilities of discrete diffusion are clamped there


def normalised(logs: Tensor) -> Tensor:
    """Log-probabilities (..., V) that guidance has moved, again summing to 1, clamped to [-70, 0]."""
    return (logs - logs.logsumexp(-1, keepdim=True)).clamp(LOWEST, 0.0)


@dataclass(frozen=True)
class Head:
    """`bits`: D, or 0 for a categorical head."""

    bits: int = 0

    @classmethod
    def of(cls, logits: Tensor) -> "Head":
        """The head a network's logits come from: (rows, T, V) or (rows, T, D, 2)."""
        return cls(logits.shape[2] if logits.ndim == 4 else 0)

    def unflatten(self, logits: Tensor) -> Tensor:
        """Flat channels (..., V) as what is drawn from: (..., V), or (..., D, 2)."""
        return logits.unflatten(-1, (self.bits, 2)) if self.bits else logits

    def confidence(
        self, logits: Tensor, tokens: Tensor | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Probability (B, T) of `tokens`, or of the likeliest token, from flat logits (B, T, V).

        `tokens`: (B, T), or bits (B, T, D). Temperature 0, a greedy sampler's, counts as 1.
        """
        logits = logits / temperature if temperature not in (0.0, 1.0) else logits
        if self.bits:
            margins = self._margins(logits)
            chosen = margins.abs() if tokens is None else margins * (2 * tokens - 1)
            return F.logsigmoid(chosen).sum(-1).exp()
        if tokens is None:
            return logits.softmax(-1).amax(-1)
        return (logits.gather(-1, tokens[..., None])[..., 0] - logits.logsumexp(-1)).exp()

    def entropy(self, logits: Tensor) -> Tensor:
        """Entropy of the prediction as a share of the largest possible, 0-1: (B, T, V) -> (B, T)."""
        if self.bits:
            margins = self._margins(logits)
            both = torch.special.entr(margins.sigmoid()) + torch.special.entr((-margins).sigmoid())
            return both.sum(-1) / (self.bits * math.log(2))
        likely = logits.softmax(-1)
        return _entropy(logits, likely, likely.amax(-1))

    def entropy_and_confidence(self, logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Entropies (B, count) of the first `count` tokens and confidence of the others, of one softmax: (B, T, V) -> (B, T - count)."""
        if self.bits:
            return self.entropy(logits[:, :count]), self.confidence(logits[:, count:])
        likely = logits.softmax(-1)
        most = likely.amax(-1)
        entropy = _entropy(logits[:, :count], likely[:, :count], most[:, :count])
        return entropy, most[:, count:]

    def _margins(self, logits: Tensor) -> Tensor:
        """Log odds of every bit being on, (..., D)."""
        pairs = self.unflatten(logits)
        return pairs[..., 1] - pairs[..., 0]


def _entropy(logits: Tensor, likely: Tensor, most: Tensor) -> Tensor:
    """Entropy (..., V) -> (...) of logits, as `Head.entropy`; `likely`: their softmax, which is written over, `most`: its largest.

    ln sum e^l - sum p l, and ln sum e^l = max l - ln max p: one exponential per class and no logarithm, which cost the most.
    0 * -inf counts as 0; what is not a number stays so, by max l.
    """
    whole = logits.amax(-1) - most.log()
    mean = likely.mul_(logits).nansum(-1)
    return (whole.sub_(mean) / math.log(logits.shape[-1])).clamp_(0.0, 1.0)


CATEGORICAL = Head()
