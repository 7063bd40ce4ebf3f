"""Where the evenness and the divergence of a guidance meet as its scale grows (arXiv 2509.23876, section 6.3).

The two live on different parts of 0-1 (evenness near 1, divergence near 0), so each is first put on its own range over
the scanned scales: e'(s) = (e(s) - min e) / (max e - min e), d' alike. They meet where e' - d' changes sign. Scales are
probed one at a time: first a few spread over the range, then always the middle of the narrowest interval with a change
of sign (bisection), or of the widest interval while there is none.

Stretched to its own range, pure noise crosses too. Where a probe carries the numbers of its single images, a meeting
point is therefore only `sure` if both curves move more than chance moves them, and if resampling the images leaves it
where it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch

from .permutation import CHANCE, FEWEST, chance_of, middle_share, resampled

FLAT = 1e-4  # a curve that moves less is called flat
EQUAL = 1e-6  # a gap this small is none: only rounding is left of it
SPREAD = 4  # probes before bisection begins
MOST = 0.9  # share of the resamplings an interval holds, and that must cross at all
NARROW = 0.5  # an interval wider than this share of the scanned scales says nothing


@dataclass(frozen=True)
class Probe:
    """What one run measured.

    Attributes:
        scale: where.
        evenness, divergence: means over the images.
        images: (evenness, divergence) of every image in a fixed order, None where there is none; () if not kept.
    """

    scale: float
    evenness: float
    divergence: float
    images: tuple[tuple[float, float] | None, ...] = ()


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
        sure: whether they meet beyond what chance does; False where the probes kept no single images.
        interval: ends of the middle 90 % of meeting points when the images are resampled; None if not known.
    """

    scale: float
    crosses: bool
    low: float
    high: float
    message: str
    probes: tuple[Probe, ...]
    gaps: tuple[float, ...]
    sure: bool = False
    interval: tuple[float, float] | None = None

    @property
    def in_doubt(self) -> bool:
        """Whether the curves meet, but within noise."""
        return self.crosses and not self.sure and bool(self.probes[0].images)


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


def meeting(curve: Sequence[Probe], own_ranges: bool, place: int) -> float:
    """The scale at which the gap, straight within the interval after a probe, is zero."""
    a, b = curve[place : place + 2]
    at_a, at_b = gaps(curve, own_ranges)[place : place + 2]
    return a.scale + (b.scale - a.scale) * at_a / (at_a - at_b)


def conclude(curve: Sequence[Probe], own_ranges: bool) -> Crossing:
    """The result a set of probes gives."""
    sides, place = gaps(curve, own_ranges), bracket(curve, own_ranges)
    found = (tuple(curve), tuple(sides))
    if place is None:
        nearest = min(curve, key=lambda p: abs(p.evenness - p.divergence))
        text = f"{_why_not(curve, own_ranges)} Nearest to each other: scale {nearest.scale:.2f}."
        return Crossing(nearest.scale, False, curve[0].scale, curve[-1].scale, text, *found)
    a, b = curve[place : place + 2]
    scale = meeting(curve, own_ranges, place)
    text = f"Evenness and divergence meet at scale {scale:.2f} (between {a.scale:.2f} and {b.scale:.2f})."
    crossing = Crossing(scale, True, a.scale, b.scale, text, *found)
    return judged(crossing, own_ranges) if curve[0].images else crossing


def judged(crossing: Crossing, own_ranges: bool) -> Crossing:
    """A meeting point with the verdict whether it is more than chance, from the single images of its probes."""
    rows = image_rows(crossing.probes)
    count = rows.shape[1]
    if count < FEWEST:
        doubt = f"{count} images with a subject are too few to tell a meeting point from chance."
        return replace(crossing, message=_doubted(doubt, crossing))
    interval, share = resampled_meeting(crossing.probes, rows, own_ranges)
    names = ("evenness", "divergence")
    still = [n for n, part in zip(names, rows, strict=True) if chance_of(part) > CHANCE]
    if not own_ranges:  # a curve that stands still can be met where it stands
        still = []
    reach = crossing.probes[-1].scale - crossing.probes[0].scale
    doubt = ""
    if still:
        does = "move" if len(still) > 1 else "moves"
        doubt = f"{' and '.join(still)} {does} no more than chance does on {count} images."
    elif share < MOST:
        doubt = (
            f"when the {count} images are resampled, the curves meet in only {share:.0%} of cases."
        )
    elif interval is None or interval[1] - interval[0] > NARROW * reach:
        doubt = f"resampling the {count} images moves the meeting point over most of the range."
    if doubt:
        return replace(crossing, interval=interval, message=_doubted(doubt, crossing))
    assert interval is not None
    text = f"{crossing.message[:-2]}; 9 in 10 resamplings of {count} images: {interval[0]:.2f} to {interval[1]:.2f})."
    return replace(crossing, sure=True, interval=interval, message=text)


def image_rows(curve: Sequence[Probe]) -> torch.Tensor:
    """Evenness and divergence (2, N, P) of the N images that could be measured at every one of P scales."""
    together = zip(*(p.images for p in curve), strict=True)
    whole = [row for row in together if None not in row]
    rows = torch.tensor(whole, dtype=torch.float64).reshape(len(whole), len(curve), 2)
    return rows.permute(2, 0, 1)


def resampled_meeting(
    curve: Sequence[Probe], rows: torch.Tensor, own_ranges: bool
) -> tuple[tuple[float, float] | None, float]:
    """Interval of the meeting points under resampling of the images, and the share of resamplings that have one."""
    weights = resampled(rows.shape[1])
    evens, divergings = (weights @ rows).tolist()  # (2, TRIES, P)
    scales = [p.scale for p in curve]
    points = []
    for even, diverging in zip(evens, divergings, strict=True):
        drawn = [Probe(*numbers) for numbers in zip(scales, even, diverging, strict=True)]
        place = bracket(drawn, own_ranges)
        if place is not None:
            points.append(meeting(drawn, own_ranges, place))
    return (middle_share(points, MOST) if points else None), len(points) / len(weights)


def _doubted(doubt: str, crossing: Crossing) -> str:
    return (
        f"Within noise: {doubt} The crossing at scale {crossing.scale:.2f} is no result: measure more images, or a"
        " wider range of scales."
    )


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
