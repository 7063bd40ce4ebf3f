"""How the strength of a guidance changes over a run: one implementation for every method and family.

A schedule turns (step k of K) into a strength that lies between `rest` (the method does nothing) and `full`:
    strength_k = rest + (full - rest) * r_k
For classifier-free guidance rest = 1 and full = scale; for a term that is simply added, rest = 0.
"""

import math
from dataclasses import dataclass

from .curve import Curve
from .interval import Interval

CURVE, LIST = "curve", "list"
SHAPES = ("constant", "linear ramp", "held ramp", "cosine power", "linear decay")
KINDS = (*SHAPES, LIST, CURVE)
CUMULATIVE = "cumulative decay"  # of one family only, so not offered by name
FLOOR = 4.0  # of cumulative decay


@dataclass(frozen=True)
class Schedule(Interval):
    """Strength over the steps of a run.

    Attributes:
        kind: constant (r = 1); linear ramp k/(K-1) (VAR); held ramp, the same but for the last
            step, which is as the one before (HART); cosine power (1 - cos((k/K)^power pi))/2 (AliTok, RAR,
            SoftCFG); linear decay 1 - k/K (SSG); list (`values` are the strengths themselves, one per step; of another
            number of steps they are read off straight lines between them, see `resampled`); curve (drawn,
            r = curve at k/(K-1)); cumulative decay (Lumina-mGPT 2), see `cumulative`.
        start, end: share of the run (0-1, both ends included) outside which the guidance is off.
        power: exponent of cosine power, > 0.
        values: strengths of `list`.
        curve: of `curve`.
        line: tokens of a line, whose ends cumulative decay counts too.

    Raises:
        ValueError: unknown kind, start after end, or a power that is not positive.
    """

    kind: str = "constant"
    start: float = 0.0
    end: float = 1.0
    power: float = 1.0
    values: tuple[float, ...] = ()
    curve: Curve = Curve()
    line: int = 0

    def __post_init__(self) -> None:
        if self.kind not in (*KINDS, CUMULATIVE):
            raise ValueError(f"unknown schedule '{self.kind}'; there are: {', '.join(KINDS)}")
        self.check_interval()
        if not self.power > 0:
            raise ValueError(f"the power of a cosine schedule must be positive, not {self.power}")
        if self.kind == "list" and not self.values:
            raise ValueError("schedule 'list' needs one number per step, for example: 1, 2, 3")
        if not all(math.isfinite(value) for value in self.values):
            raise ValueError("the list of a schedule holds a number that is not finite")

    def check(self, count: int) -> None:
        """Raise ValueError when the schedule does not fit a run of `count` steps."""
        if not any(self.covers(index, count) for index in range(count)):
            raise ValueError(
                f"between start {self.start:g} and end {self.end:g} of the run lies none of this model's {count} steps, so"
                " this guidance would never act: widen the interval, or remove the node"
            )

    def note(self, count: int) -> str | None:
        """What a user should know about this schedule in a run of `count` steps, or None."""
        listed = len(self.values)
        if self.kind != LIST or listed == count:
            return None
        return f"the list of {listed} numbers was fitted to this model's {count} steps"

    def rate(self, index: int, count: int) -> float:
        """r_k of the named shapes, 0-1; of a curve, whatever was drawn."""
        if self.kind == "linear ramp":
            return index / (count - 1) if count > 1 else 1.0
        if self.kind == "held ramp":
            return min(index, max(count - 2, 0)) / (count - 1) if count > 1 else 1.0
        if self.kind == "cosine power":
            return 0.5 * (1 - math.cos((index / count) ** self.power * math.pi))
        if self.kind == "linear decay":
            return 1 - index / count
        if self.kind == CURVE:
            return self.curve.at(index / (count - 1) if count > 1 else 1.0)
        return 1.0

    def strength(self, index: int, count: int, full: float, rest: float) -> float | None:
        """Strength at step `index` of `count`, or None where the guidance is off."""
        if not self.covers(index, count):
            return None
        if self.kind == "list":
            return resampled(self.values, index, count)
        if self.kind == CUMULATIVE:
            return cumulative(index, count, full, self.line)
        return rest + (full - rest) * self.rate(index, count)


def resampled(values: tuple[float, ...], index: int, count: int) -> float:
    """Number at step `index` of `count` of a list of any length: first and last stay at the ends, straight lines between."""
    if len(values) == count:
        return values[index]
    place = (index / (count - 1) if count > 1 else 1.0) * (len(values) - 1)
    below = min(int(place), len(values) - 1)
    above = min(below + 1, len(values) - 1)
    return values[below] + (values[above] - values[below]) * (place - below)


def cumulative(index: int, count: int, full: float, line: int) -> float:
    """Lumina-mGPT 2's weight at token `index` of `count`: g <- max(4, g (1 - n / (count/4))), once per position up to it.

    n counts the positions since the start of the image: two for its size, then tokens and line ends. So any scale falls to 4
    within the first lines and a smaller one is raised to 4; only 1, no guidance, is left as it is.
    """
    if full == 1.0:
        return 1.0
    last = index + (index // line if line else 0)
    for n in range(2, last + 3):
        full = max(FLOOR, full * (1 - 4 * n / count))
        if full == FLOOR:
            break
    return full
