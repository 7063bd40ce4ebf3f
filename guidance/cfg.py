"""CFG: classifier-free guidance (arXiv 2207.12598) on token logits.

    guided = u + gamma_k (c - u),    gamma_k = 1 + (scale - 1) r_k

c, u: conditional and unconditional logits (B, T, V). Families write the same line differently:
VAR, HART, Switti (1 + t) c - t u with scale = 1 + t; Infinity, LlamaGen, AliTok u + s (c - u) with scale = s.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from .base import Guidance, Run, Signal, Step, parameter
from .schedule import KINDS, Schedule

FAMILY_DEFAULT = "family default"


@dataclass(frozen=True)
class CFG(Guidance):
    """Classifier-free guidance with a schedule.

    Attributes:
        scale: gamma at full strength; 1 = no guidance, 0 = the unconditional prediction.
        schedule: see `Schedule`; "family default" takes what the model's authors published.
        start, end: share of the run outside which the guidance is off.
        power: exponent of the cosine schedule.
        values: gamma of every step, for schedule "list".
    """

    name: ClassVar[str] = "cfg"
    node_id: ClassVar[str] = "ARGuidanceCFG"
    title: ClassVar[str] = "AR Guidance: CFG"
    summary: ClassVar[str] = (
        "Classifier-free guidance: pushes every token away from what the model would draw without the class or"
        " prompt."
    )
    aliases: ClassVar[tuple[str, ...]] = ("classifier-free guidance",)
    combines: ClassVar[bool] = True

    scale: float = parameter(
        4.0,
        "How strongly the picture follows the class or prompt. 1 = no guidance. Too little: vague, mixed-up shapes."
        " Too much: harsh colours, less variety.",
        minimum=-20.0,
        maximum=50.0,
        step=0.1,
    )
    schedule: str = parameter(
        FAMILY_DEFAULT,
        "How the scale grows over the steps. 'family default' is what the model's authors published"
        " (VAR: linear ramp, so the first scale is unguided).",
        options=(FAMILY_DEFAULT, *KINDS),
    )
    start: float = parameter(
        0.0,
        "Share of the run before which guidance is off. Above 0, the coarse layout is left unguided.",
        minimum=0.0,
        maximum=1.0,
        step=0.01,
        advanced=True,
    )
    end: float = parameter(
        1.0,
        "Share of the run after which guidance is off (and costs nothing). Too low: details drift off the class.",
        minimum=0.0,
        maximum=1.0,
        step=0.01,
        advanced=True,
    )
    power: float = parameter(
        1.0,
        "Only for 'cosine power': larger keeps guidance low for longer.",
        minimum=0.05,
        maximum=10.0,
        step=0.05,
        advanced=True,
    )
    values: tuple[float, ...] = parameter(
        (), "Only for 'list': the scale of every step, separated by commas.", advanced=True
    )

    def __post_init__(self) -> None:
        self._schedule(Schedule())  # refuses bad settings when the link is made, not when it runs

    def _schedule(self, published: Schedule) -> Schedule:
        if self.schedule == FAMILY_DEFAULT:
            return replace(published, start=self.start, end=self.end)
        return Schedule(self.schedule, self.start, self.end, self.power, self.values)

    def gamma(self, index: int, run: Run) -> float | None:
        """gamma_k, or None where the guidance is off."""
        return self._schedule(run.published).strength(index, run.count, self.scale, rest=1.0)

    def refuse(self, run: Run) -> str | None:
        try:
            self._schedule(run.published).check(run.count)
        except ValueError as error:
            return str(error)
        return None

    def active(self, index: int, run: Run) -> bool:
        return self.gamma(index, run) is not None

    def is_conditional(self, index: int, run: Run) -> bool:
        return self.gamma(index, run) == 1.0

    def apply(self, step: Step, signal: Signal, run: Run, state: None) -> Signal:
        gamma = self.gamma(step.index, run)
        assert gamma is not None
        return signal.combine(gamma * signal.nudge)
