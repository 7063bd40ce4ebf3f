"""What both loops tell about a step, for progress bars, previews and tests."""

from dataclasses import dataclass

from torch import Tensor

from ..guidance.base import Grid, TokenWeights

NOT_FINITE = (
    "the model's predictions are not finite numbers: a guidance scale may be far too high, or the"
    " checkpoint may be damaged or too large for half precision"
)


@dataclass(frozen=True)
class Progress:
    """What is known after a step: one scale, or one token.

    Attributes:
        index, count: step k of K.
        grid: (h, w) of the step's tokens.
        cond, uncond: raw logits (B, T, V), bitwise heads flattened, V = 2 D; None where the branch was not computed.
        guided: logits after the chain.
        tokens: scale-wise (B, T), or bits (B, T, D), of this step, kept ones in place; token-wise all so far, (B, k + 1).
        weights: what the unconditional branch was computed with.
        drawn: scale-wise, the tokens before kept ones were put in place.
        features: scale-wise, (B, Z, H, W), accumulated up to and including this scale.
    """

    index: int
    count: int
    grid: Grid
    cond: Tensor
    uncond: Tensor | None
    guided: Tensor
    tokens: Tensor
    weights: TokenWeights | None = None
    drawn: Tensor | None = None
    features: Tensor | None = None
