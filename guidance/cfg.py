"""CFG: classifier-free guidance (arXiv 2207.12598) on token logits.

    guided = c + (gamma_k - 1) (c - u) = u + gamma_k (c - u),    gamma_k = 1 + (scale - 1) r_k

c, u: conditional and unconditional logits (B, T, V). Families write the same line differently:
VAR, HART, Switti (1 + t) c - t u with scale = 1 + t; Infinity, LlamaGen, AliTok u + s (c - u) with scale = s.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from .base import RunInfo, Signal, Step
from .combining import Combining


@dataclass(frozen=True)
class CFG(Combining):
    """Classifier-free guidance with a schedule. scale 1 = no guidance, 0 = the unconditional prediction."""

    name: ClassVar[str] = "cfg"
    node_id: ClassVar[str] = "ARGuidanceCFG"
    title: ClassVar[str] = "AR Guidance: CFG"
    summary: ClassVar[str] = (
        "Classifier-free guidance: pushes every token away from what the model would draw without the class or"
        " prompt."
    )
    aliases: ClassVar[tuple[str, ...]] = ("classifier-free guidance",)
    on_cond: ClassVar[bool] = True
    pointwise: ClassVar[bool] = True
    paper: ClassVar[str] = "arXiv 2207.12598"
    formula: ClassVar[str] = "guided = u + gamma (c - u)"
    symbols: ClassVar[str] = (
        "c and u are the model's predictions (logits) with and without the class or prompt, gamma is `scale` at this step."
    )

    def is_conditional(self, index: int, run: RunInfo) -> bool:
        return self.gamma(index, run) == 1.0

    def term(self, step: Step, signal: Signal) -> Tensor:
        return signal.nudge

    def add(self, signal: Signal, term: Tensor, gamma: float) -> Signal:
        return signal.add_nudge(term, gamma)
