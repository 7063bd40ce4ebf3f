"""What every guidance with a schedule has: its settings, the schedule they make, and the checks of both."""

from typing import ClassVar

from .base import Guidance, RunInfo, parameter
from .curve import Curve
from .interval import Interval
from .schedule import Schedule


def start_parameter(tooltip: str) -> float:
    """Where an interval starts; 0 = with the first step."""
    return parameter(0.0, tooltip, minimum=0.0, maximum=1.0, step=0.01, advanced=True)


def end_parameter(tooltip: str) -> float:
    """Where an interval ends; 1 = with the last step."""
    return parameter(1.0, tooltip, minimum=0.0, maximum=1.0, step=0.01, advanced=True)


def values_parameter() -> tuple[float, ...]:
    """The strengths of schedule "list"."""
    return parameter(
        (),
        "Only for 'list': the scale of every step, separated by commas. More or fewer numbers than the model has steps are"
        " fitted to them.",
        advanced=True,
    )


def curve_parameter() -> Curve:
    """The drawn line of schedule "curve"."""
    return parameter(
        Curve(),
        "Only for 'curve': the share of the full strength over the run, from the first step (left) to the last (right).",
    )


class Scheduled(Guidance, Interval):
    """A guidance whose strength changes over a run.

    A method declares which of these settings it offers, as fields in the order of its widgets; the others stay as they are here.

    Attributes:
        rest: the strength that does nothing, where the schedule is 0.
        schedule: see `Schedule`.
        start, end: share of the run outside which the guidance is off.
        power: exponent of the cosine schedule.
        values: strength of every step, for schedule "list".
        curve: r over the run, for schedule "curve".
    """

    rest: ClassVar[float]

    schedule: str
    power: float = 1.0
    values: tuple[float, ...] = ()
    curve: Curve = Curve()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.shape(Schedule())

    def shape(self, published: Schedule) -> Schedule:
        """The schedule in force for a model with this published one.

        Raises:
            ValueError: settings out of range, or an interval that ends before it starts.
        """
        return Schedule(self.schedule, self.start, self.end, self.power, self.values, self.curve)

    def at_step(self, index: int, run: RunInfo, full: float) -> float | None:
        """A strength that is `full` at its largest, at this step; None where the guidance is off."""
        return self._at_steps(run, full)[index]

    def _at_steps(self, run: RunInfo, full: float) -> tuple[float | None, ...]:
        """Of every step, computed once for the run."""
        return run.once(self, full, lambda: self._computed(run, full))

    def _computed(self, run: RunInfo, full: float) -> tuple[float | None, ...]:
        schedule, count = self.shape(run.published), run.count
        return tuple(schedule.strength(k, count, full, self.rest) for k in range(count))

    def refuse(self, run: RunInfo) -> str | None:
        try:
            self.shape(run.published).check(run.count)
        except ValueError as error:
            return str(error)
        return None

    def note(self, run: RunInfo) -> str | None:
        return self.shape(run.published).note(run.count)
