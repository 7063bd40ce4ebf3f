"""APG: adaptive projected guidance (arXiv 2410.02416, Alg. 1) on token logits.

    D <- G + m D_before            momentum over the steps; a negative m pushes off from where guidance pushed before
    D <- D min(1, r / |D|)         the length of each token's D is limited to r; 0 = no limit
    guided = c + (gamma_k - 1) (D_orth + eta D_par),    gamma_k = 1 + (scale - 1) r_k

G = c - u; D_par is the part of D along c, D_orth the rest. The paper found that D_par is what saturates colours.

Rulings, where the paper speaks of diffusion models and leaves room. Its vectors are whole images; here every token's logits
(V,) are one, because tokens are drawn one by one, and both D and c are taken without their mean over the vocabulary: a
constant added to all logits changes no probability, and must not change the projection. |D| is in units of logits, its root
mean square over the vocabulary, so that r means the same for any V. From one scale to the next, D_before is resized to the
new grid, bilinearly.
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from .base import Grid, RunInfo, Signal, Step, parameter
from .cfg import CFG
from .combining import scale_parameter
from .ssg import VERBATIM, upsample
from .vectors import centred


@dataclass
class Average:
    """What guidance did before: D (B, T, V) of the last step, and its grid."""

    nudge: Tensor = field(default_factory=lambda: torch.empty(0))
    grid: Grid = (0, 0)

    def at(self, grid: Grid) -> Tensor:
        """D at another grid."""
        if grid == self.grid:
            return self.nudge
        maps = self.nudge.unflatten(1, self.grid)
        return upsample(maps, grid, "linear", "bilinear", VERBATIM).flatten(1, 2)


def limited(nudge: Tensor, limit: float) -> Tensor:
    """D (B, T, V), shortened where its root mean square over V is above the limit."""
    size = nudge.norm(dim=-1, keepdim=True) / math.sqrt(nudge.shape[-1])
    return nudge * (limit / size.clamp_min(1e-12)).clamp_max(1.0)


def projected(nudge: Tensor, cond: Tensor, parallel: float) -> Tensor:
    """D_orth + eta D_par for D and c (B, T, V), both centred."""
    share = (nudge * cond).sum(-1, keepdim=True) / cond.square().sum(-1, keepdim=True).clamp_min(
        1e-12
    )
    return nudge - (1 - parallel) * share * cond


@dataclass(frozen=True)
class APG(CFG):
    """CFG without the part that only makes the model surer of what it would draw anyway.

    Attributes:
        parallel: eta, how much of the part along c is kept; 1, with no momentum and no limit, is CFG.
        momentum: m.
        limit: r; 0 = none.
    """

    name: ClassVar[str] = "apg"
    node_id: ClassVar[str] = "ARGuidanceAPG"
    title: ClassVar[str] = "AR Guidance: APG"
    summary: ClassVar[str] = (
        "Adaptive projected guidance: CFG without the part of the nudge that only makes the model surer of what it"
        " already predicts, which is what over-saturates images at high scales."
    )
    aliases: ClassVar[tuple[str, ...]] = ("adaptive projected guidance", "oversaturation")
    paper: ClassVar[str] = "arXiv 2410.02416"
    formula: ClassVar[str] = (
        "guided = c + (gamma - 1) (D_perp + eta D_par),  D = c - u + m D', at most r long"
    )
    symbols: ClassVar[str] = (
        "c and u are the model's predictions (logits) with and without the class or prompt, gamma is `scale` at this step. D_par"
        " is the part of D along c and D_perp the rest, eta is `parallel`; D' is the D of the step before, m is `momentum`, r is"
        " `limit`."
    )
    remembers: ClassVar[bool] = True
    remarks: ClassVar[str] = (
        "The paper is about diffusion models. Here each token's logits are one vector, taken without their mean, and D' is"
        " resized from one scale to the next: our readings, not the paper's."
    )

    scale: float = scale_parameter(
        "How strongly the image follows the class or prompt. 1 = no guidance. Tolerates higher scales than CFG. Too little:"
        " vague, mixed-up shapes. Too much: noise, less variety."
    )
    parallel: float = parameter(
        0.0,
        "How much of the part along the model's own prediction is kept. 0 = none (as published), 1 = all, as in CFG: more"
        " contrast and saturation.",
        minimum=-1.0,
        maximum=1.0,
        step=0.05,
    )
    momentum: float = parameter(
        0.0,
        "How much of the previous step's nudge is added. 0 = none. Negative (the paper uses -0.5 to -0.75): pushes off"
        " from where guidance went before. Too far from 0: steps undo or pile up each other's work.",
        minimum=-0.95,
        maximum=0.95,
        step=0.05,
    )
    limit: float = parameter(
        0.0,
        "Longest nudge a token may get, in units of logits. 0 = no limit. Too small: guidance hardly acts.",
        minimum=0.0,
        maximum=20.0,
        step=0.05,
    )

    def begin(self, run: RunInfo) -> Average:
        return Average()

    def refuse(self, run: RunInfo) -> str | None:
        if run.kind == "diffusion":
            return "it projects the prediction of a token, and a diffusion model's are of whole images: use CFG or IGG"
        return super().refuse(run)

    def apply(self, step: Step, signal: Signal, run: RunInfo, state: Average) -> Signal:
        gamma = self.gamma(step.index, run)
        assert gamma is not None
        nudge, cond = centred(signal.nudge, step.head), centred(signal.cond, step.head)
        if self.momentum and state.grid != (0, 0):
            nudge = nudge + self.momentum * state.at(step.grid)
        if self.momentum:
            state.nudge, state.grid = nudge, step.grid
        if self.limit:
            nudge = limited(nudge, self.limit)
        term = projected(nudge, cond, self.parallel)
        step.recorder.note(f"{self.name} scale", step.index, gamma)
        step.recorder.add(f"{self.name} direction", step.index, lambda: term.norm(dim=-1))
        return signal.add(term, gamma - 1)
