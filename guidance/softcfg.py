"""SoftCFG: the unconditional branch looks away from tokens the model is already sure of (arXiv 2510.00996).

    guided = u~ + gamma_k (c - u~),    gamma_k as in CFG;    the paper's (1 + g) c - g u~ with gamma = 1 + g

u~: unconditional logits of a forward pass in which the value vector of generated token i is multiplied by w_i in every
layer. Prefix, keys, attention probabilities and the conditional branch stay as they are; nothing is renormalised.

paper (Algorithm 1):   w_i = (1 - p_i / (sum_{j<t} p_j + 1e-8))^strength, without step normalisation (1 - p_i)^strength;
                       p_i = largest conditional probability at the step that drew token i; the token being read is weighted too.
released code:         w_i = max(0.05, (1 - c_{i+1} / (c_1 + .. + c_{t-1} + 1e-5))^strength), c_i = probability of the token drawn
                       at step i at the sampling temperature; the token being read has weight 1. Without step normalisation
                       w_i = 1 - c_{i+1}: no strength, no floor.

Next-scale models, our extension (the paper knows next-token models only): the cached position that predicted a token of
an earlier scale is weighted by the confidence of that token, w_i = (1 - p_i / (sum_j p_j + eps))^strength over all
tokens of earlier scales together. Two groups of positions keep weight 1: the first scale's, which have read nothing but
the class or prompt (the paper's prefix), and those of the scale being predicted, whose tokens have no confidence yet. The
conventions differ in p, eps and floor only. A model that keeps no cache between its scales is refused.

Letters: B images, n weighted tokens, V vocabulary. The strength of the paper's form is ours (1 = paper).
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from .base import RunInfo, StepResult, TokenWeights, parameter
from .cfg import CFG

PAPER, RELEASED = "paper", "released code"
VALUES, KEYS, BOTH = "values", "keys", "keys and values"
PUBLISHED = -1.0


def position_weights(
    sure: Tensor, normalise: bool, strength: float, floor: float, eps: float
) -> Tensor:
    """Weights (B, n) from confidences (B, n); with `normalise` the removed parts of an image sum to 1 (strength 1)."""
    if normalise:
        sure = sure / (sure.sum(-1, keepdim=True) + eps)
    return (1 - sure).clamp_min(0.0).pow(strength).clamp_min(floor)


@dataclass
class Memory:
    """One run: confidence (B, n) of every token, in the order of generation, as far as they have been drawn."""

    sure: Tensor = field(default_factory=lambda: torch.empty(0))


@dataclass(frozen=True)
class SoftCFG(CFG):
    """CFG whose unconditional branch sees confident tokens weakly.

    Attributes:
        strength: exponent of the weights; 0 = plain CFG.
        convention: the paper's formulas, or those of the authors' released code.
        normalise: divide the confidences by their sum at every step.
        perturb: what the weights act on.
        confidence: which prediction says how sure the model was.
        floor: smallest weight; -1 = what the convention has (paper none, released code 0.05).
    """

    name: ClassVar[str] = "softcfg"
    node_id: ClassVar[str] = "ARGuidanceSoftCFG"
    title: ClassVar[str] = "AR Guidance: SoftCFG"
    summary: ClassVar[str] = (
        "Guidance that keeps its effect to the end of the image: the prediction it pushes away from pays less attention"
        " to tokens the model was sure of. Takes the place of CFG. Made for token-by-token models; on models that draw"
        " scale by scale it is our extension, not in the paper."
    )
    aliases: ClassVar[tuple[str, ...]] = ("soft classifier-free guidance", "confidence guidance")
    paper: ClassVar[str] = "arXiv 2510.00996"
    formula: ClassVar[str] = (
        "guided = u~ + gamma (c - u~),  u~ from values weighted by 1 - p / Sigma p"
    )
    symbols: ClassVar[str] = (
        "c is the model's prediction (logits) with the class or prompt, u~ the one without it, made with every earlier"
        " token's value vector faded by its weight; gamma is `scale` at this step. p is how sure the model was when it drew"
        " that token, from 0 to 1, and Sigma p the sum over all tokens so far."
    )
    needs_weights: ClassVar[bool] = True
    remarks: ClassVar[str] = (
        "**Models that draw scale by scale (VAR, VAR-CLIP, Switti-AR, HART, Infinity): our extension, not in the"
        " paper.** What such a model remembers of an earlier scale fades by the confidence its tokens were drawn with;"
        " all earlier scales share one unit of fading when `normalise` is on. Never faded: the first scale, which holds"
        " only the class or prompt, and the scale being drawn, whose tokens have no confidence yet. So the first two"
        " scales are ordinary CFG. Switti without a memory between its scales has nothing to fade and is refused."
    )

    strength: float = parameter(
        1.0,
        "How strongly confident tokens are faded out of the unconditional view. 0 = ordinary CFG. Too much: the view"
        " sees too little and guidance overshoots. No effect in 'released code' without step normalisation.",
        minimum=0.0,
        maximum=4.0,
        step=0.05,
    )
    normalise: bool = parameter(
        True,
        "Share one unit of fading among all tokens so far, so that its total stays the same over the image. Off: every"
        " token fades by its own confidence, which grows strong towards the end.",
    )
    perturb: str = parameter(
        VALUES,
        "What is faded: the values (as published), or for experiments the keys, or both.",
        options=(VALUES, KEYS, BOTH),
        advanced=True,
    )
    confidence: str = parameter(
        "conditional",
        "Which prediction tells how sure the model was: with the class or prompt (as published), without, or guided.",
        options=("conditional", "unconditional", "guided"),
        advanced=True,
    )
    convention: str = parameter(
        PAPER,
        "'paper': each token fades by its own highest probability. 'released code': by the probability of the token"
        " drawn after it, as in the authors' program. On models that draw scale by scale: by its own highest"
        " probability, or by that of the token drawn there.",
        options=(PAPER, RELEASED),
        advanced=True,
    )
    floor: float = parameter(
        PUBLISHED,
        "Smallest weight a token can fade to. 0 = it may vanish, 1 = nothing fades, -1 = as published for the"
        " convention.",
        minimum=-1.0,
        maximum=1.0,
        step=0.01,
        advanced=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.floor < 0 and self.floor != PUBLISHED:
            raise ValueError(f"floor must lie between 0 and 1, or be -1, not {self.floor}")

    def refuse(self, run: RunInfo) -> str | None:
        if run.kind == "diffusion":
            return "it looks at how sure the model is of its tokens, and a diffusion model draws none: use CFG or IGG"
        if run.kind == "discrete":
            return (
                "it fades earlier tokens out of a model's memory (its key/value cache), and a discrete diffusion model"
                " reads all tokens again at every step: use CFG, IGG or SSG here"
            )
        if not run.causal:
            return (
                "it fades tokens out of a model's memory (its key/value cache), and this model keeps none between its"
                " scales: use CFG, IGG or SSG here"
            )
        return super().refuse(run)

    def begin(self, run: RunInfo) -> Memory:
        return Memory()

    def weights(self, index: int, run: RunInfo, state: Memory) -> TokenWeights | None:
        end = run.starts[index]
        if run.kind == "scale":  # the first scale's positions are the prefix
            first = spared = run.starts[1]
        else:  # released code: token i fades with its successor's confidence
            first, spared = int(self.convention == RELEASED), 0
        if self.strength == 0 or end <= first:
            return None
        sure = state.sure[:, first:end]
        weights = F.pad(self._weights(sure), (spared, 0), value=1.0)
        return TokenWeights(
            values=None if self.perturb == KEYS else weights,
            keys=None if self.perturb == VALUES else weights,
        )

    def _weights(self, sure: Tensor) -> Tensor:
        released = self.convention == RELEASED
        floor = (0.05 if released and self.normalise else 0.0) if self.floor < 0 else self.floor
        strength = 1.0 if released and not self.normalise else self.strength
        return position_weights(sure, self.normalise, strength, floor, 1e-5 if released else 1e-8)

    def observe(self, drawn: StepResult, run: RunInfo, state: Memory) -> None:
        branches = {
            "conditional": drawn.cond,
            "unconditional": drawn.uncond,
            "guided": drawn.guided,
        }
        logits = branches[self.confidence]
        assert logits is not None
        if self.convention == RELEASED:
            sure = drawn.head.confidence(logits, drawn.tokens, run.temperature_at(drawn.index))
        else:
            sure = drawn.head.confidence(logits)
        if drawn.index == 0:
            state.sure = sure.new_zeros(sure.shape[0], run.starts[-1])
        start, end = run.starts[drawn.index : drawn.index + 2]
        state.sure[:, start:end] = sure
