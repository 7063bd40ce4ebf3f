"""CFG-Zero*: classifier-free guidance with an optimised length of u (arXiv 2503.18886) on token logits.

    s = (c . u) / (u . u)
    guided = s u + gamma_k (c - s u) = c + (gamma_k - 1) (c - s u),    gamma_k = 1 + (scale - 1) r_k

s u is the multiple of u nearest to c, so that guidance pushes at right angles to u: it does not count as a nudge that one
prediction is merely surer than the other. c, u: centred logits, see `corrected` for what is one vector. The paper's are the
velocities of a flow; logits take their place: our reading.

The paper's second part, zero-init, is left out: a flow of velocity 0 keeps the noise it has for some steps, and nothing in a
model that decides tokens at every step corresponds to that. (Logits of 0 would draw codes of the first scales at random.)
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from .corrected import Corrected
from .vectors import dot


@dataclass(frozen=True)
class CFGZero(Corrected):
    """CFG away from the multiple of u that is nearest to c."""

    name: ClassVar[str] = "cfg_zero"
    node_id: ClassVar[str] = "ARGuidanceCFGZeroStar"
    title: ClassVar[str] = "AR Guidance: CFG-Zero*"
    summary: ClassVar[str] = (
        "CFG-Zero*: before pushing away from the prediction without the class or prompt, stretches it to the length at which it is"
        " nearest to the one with it, so that only what differs in kind is pushed."
    )
    aliases: ClassVar[tuple[str, ...]] = ("CFG Zero Star", "optimized scale")
    paper: ClassVar[str] = "arXiv 2503.18886"
    formula: ClassVar[str] = "guided = c + (gamma - 1) (c - s u),  s = (c . u) / (u . u)"
    symbols: ClassVar[str] = (
        "c and u are the model's predictions (logits) with and without the class or prompt, s makes u as near to c as a factor can"
        " (over `vectors`), gamma is `scale` at this step."
    )
    remarks: ClassVar[str] = (
        "The paper is about flow matching, and its vectors are the velocities of a whole image. Here they are the logits of a step's"
        " tokens without their mean: our reading, not the paper's. Its zero-init, which leaves the first steps of a flow out, has no"
        " counterpart where every step decides tokens, and is not there."
    )

    def corrected(self, cond: Tensor, uncond: Tensor, whole: bool) -> Tensor:
        share = dot(cond, uncond, whole) / dot(uncond, uncond, whole).clamp_min(1e-12)
        return share * uncond
