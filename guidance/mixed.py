"""The CFG-IGG mix (arXiv 2509.23876, Eq. 7): two terms with weights of their own, negative ones allowed.

    guided = u + gamma_k G + gamma'_k A G

Equal to a chain of CFG and IGG with the same schedule: the terms are (gamma_k - 1) G and gamma'_k A G on the base c.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from .base import RunInfo, Signal, Step, parameter
from .cfg import CFG
from .combining import scale_parameter
from .igg import IGG


@dataclass(frozen=True)
class Mixed(IGG):
    """CFG and IGG in one guidance.

    Attributes:
        scale: gamma of the CFG term.
        igg_scale: gamma' of the IGG term.
    """

    name: ClassVar[str] = "mixed"
    on_cond: ClassVar[bool] = True
    neutral: ClassVar[Mapping[str, float | str]] = {
        "scale": 1.0,
        "igg_scale": 0.0,
        "schedule": "constant",
    }
    node_id: ClassVar[str] = "ARGuidanceMixed"
    title: ClassVar[str] = "AR Guidance: CFG-IGG mix"
    summary: ClassVar[str] = (
        "CFG and IGG together, each with its own weight: a negative IGG weight sharpens what tokens disagree on."
    )
    aliases: ClassVar[tuple[str, ...]] = ("CFG-IGG", "mix")
    formula: ClassVar[str] = (
        "guided = u + gamma G + gamma' A G,  G = c - u,  A = softmax(G G^T / sqrt V)"
    )
    symbols: ClassVar[str] = (
        "c and u are the model's predictions (logits) with and without the class or prompt, gamma is `scale` and gamma' `igg_scale`"
        " at this step. G is the nudge from u to c, one row per token of the step, V the length of a row; A holds how much"
        " each token attends to every other, by the likeness of their nudges, in rows that sum to 1."
    )

    scale: float = scale_parameter(
        "Weight of the CFG term. 0 = the IGG term alone; 1 = no guidance only if the IGG term's weight is 0. Too little:"
        " vague, mixed-up shapes. Too much: harsh colours, less variety."
    )
    schedule: str = parameter(
        "constant",
        "How both weights change over the steps. All but 'constant' run between 1 and the weight that is set.",
        options=tuple(
            kind
            for kind in IGG.__dataclass_fields__["schedule"].metadata["parameter"].options
            if kind != "list"
        ),
    )
    values: tuple[float, ...] = ()  # a list gives one scale a step, and the mix has two
    igg_scale: float = scale_parameter(
        "Weight of the IGG term. 0 = CFG alone, where the schedule is constant. Negative: crisper, then noisy. Large:"
        " flat images without small detail.",
        default=-0.4,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.schedule == "list":
            raise ValueError(
                "the mix has two scales, so one list cannot give them: chain CFG and IGG instead"
            )

    def records(self) -> tuple[str, ...]:
        return (CFG.name, IGG.name, "attention")

    def active(self, index: int, run: RunInfo) -> bool:
        return self._strengths(index, run) is not None

    def is_conditional(self, index: int, run: RunInfo) -> bool:
        return self._strengths(index, run) == (1.0, 0.0)

    def gamma(self, index: int, run: RunInfo) -> float | None:
        """gamma_k + gamma'_k: what a chain of both weighs together, or None where the guidance is off."""
        strengths = self._strengths(index, run)
        return None if strengths is None else sum(strengths)

    def apply(self, step: Step, signal: Signal, run: RunInfo, state: None) -> Signal:
        strengths = self._strengths(step.index, run)
        assert strengths is not None
        plain, attended = strengths
        signal = self._with_plain(step, plain, signal)  # its nudge is gone before the next is made
        if attended == 0:
            return signal
        mixed = self.term(step, signal)
        self._record(IGG.name, step, attended, signal, mixed)
        return signal.add(mixed, attended)

    def _with_plain(self, step: Step, gamma: float, signal: Signal) -> Signal:
        """The signal with the CFG term added."""
        nudge = signal.nudge
        self._record(CFG.name, step, gamma, signal, nudge)
        return signal.add_nudge(nudge, gamma)

    def _record(self, name: str, step: Step, gamma: float, signal: Signal, term: Tensor) -> None:
        """One of the two terms, under the name of the method it comes from."""
        step.recorder.note(f"{name} scale", step.index, gamma)
        signal.record_lengths(step, f"{name} direction", term)

    def _strengths(self, index: int, run: RunInfo) -> tuple[float, float] | None:
        """gamma and gamma' of a step, or None where the guidance is off."""
        plain = self.at_step(index, run, self.scale)
        attended = self.at_step(index, run, self.igg_scale)
        return None if plain is None or attended is None else (plain, attended)
