"""A curve through points, as drawn in a host's curve widget: monotone cubic or straight pieces.

Monotone cubic interpolation (Fritsch and Carlson 1980): a cubic Hermite spline whose slopes are means of the
neighbouring secants, 0 at turning points, shortened until no piece overshoots its ends.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

CUBIC, LINEAR = "monotone_cubic", "linear"
Point = tuple[float, float]


@dataclass(frozen=True)
class Curve:
    """y(x) for x in 0-1; beyond its first and last point it stays level.

    Attributes:
        points: (x, y) in any order, at least one; the default is the straight line from 0 to 1.
        interpolation: "monotone_cubic" or "linear".

    Raises:
        ValueError: no point, a number that is not finite, or an unknown interpolation.
    """

    points: tuple[Point, ...] = ((0.0, 0.0), (1.0, 1.0))
    interpolation: str = CUBIC

    def __post_init__(self) -> None:
        if not self.points:
            raise ValueError("a curve needs at least one point")
        if not all(math.isfinite(number) for point in self.points for number in point):
            raise ValueError("the curve has a point that is not finite")
        if self.interpolation not in (CUBIC, LINEAR):
            raise ValueError(
                f"unknown interpolation '{self.interpolation}'; there are: {CUBIC}, {LINEAR}"
            )

    def at(self, x: float) -> float:
        """y(x)."""
        points = sorted(self.points, key=lambda point: point[0])
        if x <= points[0][0]:
            return points[0][1]
        if x >= points[-1][0]:
            return points[-1][1]
        left = bisect_right([point[0] for point in points], x) - 1
        (x0, y0), (x1, y1) = points[left], points[left + 1]
        share = (x - x0) / (x1 - x0)
        if self.interpolation == LINEAR:
            return y0 + share * (y1 - y0)
        slopes = _slopes(points)
        return _hermite(share, y0, y1, *((x1 - x0) * m for m in slopes[left : left + 2]))


def _hermite(t: float, y0: float, y1: float, m0: float, m1: float) -> float:
    """The cubic from y0 to y1 with slopes m0 and m1 per unit of t, at t in 0-1."""
    rise = y1 - y0
    return y0 + t * (m0 + t * (3 * rise - 2 * m0 - m1 + t * (m0 + m1 - 2 * rise)))


def _slopes(points: Sequence[Point]) -> list[float]:
    """Slope at every point."""
    secants = [(y1 - y0) / (x1 - x0) if x1 > x0 else 0.0 for (x0, y0), (x1, y1) in pairwise(points)]
    inner = [(a + b) / 2 if a * b > 0 else 0.0 for a, b in pairwise(secants)]
    slopes = [secants[0], *inner, secants[-1]]
    for k, secant in enumerate(secants):
        if secant == 0:
            slopes[k] = slopes[k + 1] = 0.0
            continue
        size = math.hypot(slopes[k], slopes[k + 1]) / abs(secant)
        if size > 3:  # beyond this circle a piece may overshoot
            slopes[k : k + 2] = [slope * 3 / size for slope in slopes[k : k + 2]]
    return slopes
