"""TCFG: tangential damping classifier-free guidance (arXiv 2503.18137) on token logits.

    v = first right singular vector of the matrix with the rows u and c: the direction both share most
    u' = (u . v) v
    guided = c + (gamma_k - 1) (c - u'),    gamma_k = 1 + (scale - 1) r_k

What u has outside v, the paper says, leads off the images of the class, and guidance would enlarge it. c, u: centred logits, see
`corrected` for what is one vector. The paper's are a diffusion model's scores, gradients of log p; logits are log p itself, but
for a constant, at every code: our reading.

The singular vector needs no decomposition: with uu = u . u, uc = u . c, cc = c . c, it lies along u cos a + c sin a, where
tan 2a = 2 uc / (uu - cc) (the larger eigenvector of the 2 x 2 matrix of these products).
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .corrected import Corrected
from .vectors import dot


def along_shared(cond: Tensor, uncond: Tensor, whole: bool) -> Tensor:
    """u' (B, T, V): the part of u along the direction u and c share most."""
    uu, uc, cc = dot(uncond, uncond, whole), dot(uncond, cond, whole), dot(cond, cond, whole)
    angle = torch.atan2(2 * uc, uu - cc) / 2
    a, b = angle.cos(), angle.sin()
    length = a * a * uu + 2 * a * b * uc + b * b * cc  # of a u + b c, squared
    share = (a * uu + b * uc) / length.clamp_min(1e-12)
    return share * (a * uncond + b * cond)


@dataclass(frozen=True)
class TCFG(Corrected):
    """CFG away from the part of u that lies along what u and c share."""

    name: ClassVar[str] = "tcfg"
    node_id: ClassVar[str] = "ARGuidanceTCFG"
    title: ClassVar[str] = "AR Guidance: TCFG"
    summary: ClassVar[str] = (
        "Tangential damping CFG: before pushing away from the prediction without the class or prompt, leaves out what that"
        " prediction does not share with the one with it."
    )
    aliases: ClassVar[tuple[str, ...]] = ("tangential damping",)
    paper: ClassVar[str] = "arXiv 2503.18137"
    formula: ClassVar[str] = "guided = c + (gamma - 1) (c - u'),  u' = v (v . u)"
    symbols: ClassVar[str] = (
        "c and u are the model's predictions (logits) with and without the class or prompt, v is the direction that both share"
        " most (a singular vector of the two, over `vectors`) and u' the part of u along it, gamma is `scale` at this step."
    )
    remarks: ClassVar[str] = (
        "The paper is about diffusion models, and its vectors are the noise predicted for a whole image. Here they are the logits"
        " of a step's tokens without their mean: our reading, not the paper's."
    )

    def corrected(self, cond: Tensor, uncond: Tensor, whole: bool) -> Tensor:
        return along_shared(cond, uncond, whole)
