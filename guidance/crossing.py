"""Where the evenness and the divergence of a guidance meet as its scale grows (arXiv 2509.23876, section 6.3).

The two live on different parts of 0-1 (evenness near 1, divergence near 0), so each is first put on its own range over
the scanned scales: e'(s) = (e(s) - min e) / (max e - min e), d' alike. They meet where e' - d' changes sign. Scales are
probed one at a time: first a few spread over the range, then always the middle of the narrowest interval with a change
of sign (bisection), or of the widest interval while there is none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

FLAT = 1e-4  # a curve that moves less is called flat
EQUAL = 1e-6  # a gap this small is none: only rounding is left of it
SPREAD = 4  # probes before bisection begins


@dataclass(frozen=True)
class Probe:
    """What one run measured."""

    scale: float
    evenness: float
    divergence: float


@dataclass(frozen=True)
class Crossing:
    """What a search found.

    Attributes:
        scale: where the curves meet, or where they are nearest.
        crosses: whether they meet.
        low, high: probed scales on both sides of the meeting point.
        message: the result in words.
        probes: everything measured, by scale.
        gaps: e' - d' of every probe (e - d when compared as they are).
    """

    scale: float
    crosses: bool
    low: float
    high: float
    message: str
    probes: tuple[Probe, ...]
    gaps: tuple[float, ...]


def search(
    run: Callable[[float], Probe],
    low: float,
    high: float,
    probes: int,
    own_ranges: bool = True,
    hints: Sequence[float] = (),
) -> Crossing:
    """Look for the meeting point with at most `probes` runs.

    Args:
        run: measures one scale.
        low, high: range of scales.
        probes: how many runs, at least 2.
        own_ranges: put each curve on its own range first; otherwise compare the numbers as they are.
        hints: scales worth probing first, for example the bracket a cheaper search found.
    """
    inner = [scale for scale in hints if low < scale < high]
    if not inner:
        inner = [low + (high - low) * k / (SPREAD - 1) for k in range(1, SPREAD - 1)]
    first = [low, high, *inner][:probes]
    curve = sorted((run(scale) for scale in dict.fromkeys(first)), key=lambda p: p.scale)
    for _ in range(probes - len(curve)):
        place = bracket(curve, own_ranges)
        place = widest(curve) if place is None else place
        middle = (curve[place].scale + curve[place + 1].scale) / 2
        curve = sorted([*curve, run(middle)], key=lambda p: p.scale)
    return conclude(curve, own_ranges)


def gaps(curve: Sequence[Probe], own_ranges: bool = True) -> list[float]:
    """e' - d' of every probe; e - d when compared as they are."""
    even, diverging = [p.evenness for p in curve], [p.divergence for p in curve]
    if own_ranges:
        even, diverging = on_own_range(even), on_own_range(diverging)
    differences = [e - d for e, d in zip(even, diverging, strict=True)]
    return [d if abs(d) > EQUAL else 0.0 for d in differences]


def on_own_range(values: Sequence[float]) -> list[float]:
    """Values moved to 0-1; all 1/2 if they hardly differ."""
    low, high = min(values), max(values)
    if high - low < FLAT:
        return [0.5] * len(values)
    return [(value - low) / (high - low) for value in values]


def flat(curve: Sequence[Probe]) -> list[str]:
    """Names of the curves that do not move."""
    names = ("evenness", "divergence")
    rows = ([p.evenness for p in curve], [p.divergence for p in curve])
    return [n for n, row in zip(names, rows, strict=True) if max(row) - min(row) < FLAT]


def bracket(curve: Sequence[Probe], own_ranges: bool = True) -> int | None:
    """Place of the narrowest interval of neighbours between which the gap changes sign, or None."""
    if own_ranges and flat(curve):
        return None
    sides = gaps(curve, own_ranges)
    changes = [k for k, (a, b) in enumerate(pairwise(sides)) if a * b < 0]
    # A gap of exactly 0 is a meeting point too, if the gap has opposite signs around it.
    for k in range(1, len(sides) - 1):
        if sides[k] == 0 and sides[k - 1] * sides[k + 1] < 0:
            changes.append(k)
    return min(changes, key=lambda k: (width(curve, k), k)) if changes else None


def width(curve: Sequence[Probe], place: int) -> float:
    """Width of the interval after a probe."""
    return curve[place + 1].scale - curve[place].scale


def widest(curve: Sequence[Probe]) -> int:
    """Place of the widest interval."""
    return max(range(len(curve) - 1), key=lambda k: (width(curve, k), -k))


def conclude(curve: Sequence[Probe], own_ranges: bool) -> Crossing:
    """The result a set of probes gives."""
    sides, place = gaps(curve, own_ranges), bracket(curve, own_ranges)
    found = (tuple(curve), tuple(sides))
    if place is None:
        nearest = min(curve, key=lambda p: abs(p.evenness - p.divergence))
        text = f"{_why_not(curve, own_ranges)} Nearest to each other: scale {nearest.scale:.2f}."
        return Crossing(nearest.scale, False, curve[0].scale, curve[-1].scale, text, *found)
    (a, b), (ga, gb) = curve[place : place + 2], sides[place : place + 2]
    scale = a.scale + (b.scale - a.scale) * ga / (ga - gb)
    text = f"Evenness and divergence meet at scale {scale:.2f} (between {a.scale:.2f} and {b.scale:.2f})."
    return Crossing(scale, True, a.scale, b.scale, text, *found)


def _why_not(curve: Sequence[Probe], own_ranges: bool) -> str:
    between = f"between scale {curve[0].scale:g} and {curve[-1].scale:g}"
    still = flat(curve)
    if own_ranges and still:
        does = "do" if len(still) > 1 else "does"
        return f"The curves do not cross: {' and '.join(still)} {does} not change {between}."
    if own_ranges:
        return f"The curves do not cross: evenness and divergence move the same way {between}."
    above = "evenness" if curve[0].evenness > curve[0].divergence else "divergence"
    return f"The curves do not cross: {above} stays the larger one {between}."
