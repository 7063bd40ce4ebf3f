"""What every combining guidance has: a scale, a schedule, and a term that it adds.

guided = base + sum_i term_i,    gamma_k = 1 + (scale - 1) r_k    (the base: see `chain`)
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import Tensor

from .base import RunInfo, Signal, Step, parameter
from .curve import Curve
from .schedule import KINDS, Schedule
from .scheduled import Scheduled, curve_parameter, end_parameter, start_parameter, values_parameter

FAMILY_DEFAULT = "family default"


def scale_parameter(tooltip: str, default: float = 4.0) -> float:
    """A combining scale, ComfyUI's convention: 1 = no guidance for CFG. Where IGG acts, it is not: only 0 is."""
    return parameter(default, tooltip, minimum=-20.0, maximum=50.0, step=0.05)


@dataclass(frozen=True)
class Combining(Scheduled):
    """A guidance that adds a term of strength gamma_k.

    Attributes:
        scale: gamma at full strength; see `scale_parameter`.
        schedule: see `Schedule`; "family default" takes what the model's authors published.
        start, end: share of the run outside which the guidance is off.
        power: exponent of the cosine schedule.
        values: gamma of every step, for schedule "list".
        curve: r over the run, for schedule "curve".
    """

    combines: ClassVar[bool] = True
    rest: ClassVar[float] = 1.0
    neutral: ClassVar[Mapping[str, float | str]] = {"scale": 1.0, "schedule": "constant"}

    scale: float = scale_parameter(
        "How strongly the image follows the class or prompt. 1 = no guidance. Too little: vague, mixed-up shapes."
        " Too much: harsh colours, less variety."
    )
    schedule: str = parameter(
        FAMILY_DEFAULT,
        "How the scale grows over the steps. 'family default' is what the model's authors published"
        " (VAR: linear ramp, from 1 at the first scale; Lumina-mGPT 2: falls to 4 within the first lines and is"
        " never lower).",
        options=(FAMILY_DEFAULT, *KINDS),
    )
    start: float = start_parameter(
        "Share of the run before which guidance is off. Above 0, the coarse layout is left unguided."
    )
    end: float = end_parameter(
        "Share of the run after which guidance is off (and costs nothing). Too low: details drift off the class."
    )
    power: float = parameter(
        1.0,
        "Only for 'cosine power': larger keeps guidance low for longer.",
        minimum=0.05,
        maximum=10.0,
        step=0.05,
        advanced=True,
    )
    values: tuple[float, ...] = values_parameter()
    curve: Curve = curve_parameter()

    def shape(self, published: Schedule) -> Schedule:
        if self.schedule == FAMILY_DEFAULT:
            self.check_interval()
            # The narrower of the two: some models' authors switch guidance off before the end.
            start, end = max(self.start, published.start), min(self.end, published.end)
            if start > end:
                raise ValueError(
                    f"the model's authors guide from {published.start:g} to {published.end:g} of the run, and this guidance"
                    f" acts from {self.start:g} to {self.end:g}: choose a schedule other than '{FAMILY_DEFAULT}', for"
                    " example 'constant', or another interval"
                )
            return replace(published, start=start, end=end)
        return super().shape(published)

    def gamma(self, index: int, run: RunInfo) -> float | None:
        """gamma_k, or None where the guidance is off."""
        return self.at_step(index, run, self.scale)

    def term(self, step: Step, signal: Signal) -> Tensor:
        """What is added at strength 1 (B, T, V)."""
        raise NotImplementedError

    def add(self, signal: Signal, term: Tensor, gamma: float) -> Signal:
        """The signal with the term at this strength."""
        return signal.add(term, gamma)

    def active(self, index: int, run: RunInfo) -> bool:
        return self.gamma(index, run) is not None

    def apply(self, step: Step, signal: Signal, run: RunInfo, state: Any) -> Signal:
        gamma = self.gamma(step.index, run)
        assert gamma is not None
        term = self.term(step, signal)
        step.recorder.note(f"{self.name} scale", step.index, gamma)
        signal.record_lengths(step, f"{self.name} direction", term)
        return self.add(signal, term, gamma)
