"""CFG from a corrected u: what the methods share that first bring the unconditional prediction closer to the conditional one.

    guided = c + (gamma_k - 1) (c - u'),    gamma_k = 1 + (scale - 1) r_k

u' is made of c and u by the method. Both are taken without what changes no probability (`vectors.centred`), so that a constant added
to all logits of a token changes no angle and no length. A chain's other guidances see u as it was.

Ruling, where the papers speak of the prediction of a whole image at one time (noise, or velocity): its place is taken by the logits
of all tokens that one step decides, as one vector; option: each token's logits are one, since tokens are drawn one by one. A
next-token model's step is one token, so both are the same there.
"""

from dataclasses import dataclass

from torch import Tensor

from .base import RunInfo, Signal, Step, parameter
from .cfg import CFG
from .vectors import centred

IMAGE, TOKEN = "whole image", "each token"


@dataclass(frozen=True)
class Corrected(CFG):
    """CFG away from u' instead of u.

    Attributes:
        vectors: what counts as one vector: the logits of all tokens of a step, or of each.
    """

    vectors: str = parameter(
        IMAGE,
        "What is compared as one: all tokens of a step together (as published, for whole images), or each token by itself."
        " Models that draw token by token have one token a step: no difference.",
        options=(IMAGE, TOKEN),
        advanced=True,
    )

    def corrected(self, cond: Tensor, uncond: Tensor, whole: bool) -> Tensor:
        """u' (B, T, V) from centred c and u; `whole`: all tokens are one vector."""
        raise NotImplementedError

    def refuse(self, run: RunInfo) -> str | None:
        if run.kind == "diffusion":
            return "it is made here for the predictions of tokens, and this model has none: use CFG or IGG"
        return super().refuse(run)

    def term(self, step: Step, signal: Signal) -> Tensor:
        assert signal.uncond is not None  # the chain asked for it
        cond, uncond = centred(signal.cond, step.head), centred(signal.uncond, step.head)
        # A pass over several tokens of a next-token model has the grid of one.
        whole = self.vectors == IMAGE and step.grid != (1, 1)
        return cond - self.corrected(cond, uncond, whole)

    def add(self, signal: Signal, term: Tensor, gamma: float) -> Signal:
        return signal.add(term, gamma - 1)
