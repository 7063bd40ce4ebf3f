"""Where the evenness and the divergence of a guidance meet as its scale grows (arXiv 2509.23876, section 6.3, Fig. 4).

With the scale, evenness falls and divergence rises; both are improvements. The paper finds that near the best scale the
two numbers are equal. It "scaled them by a factor corresponding to the (reciprocal of the) respective guidance scales":
dividing both by one number does not move the place where they meet, so the scores are compared as they are, and the answer
is the same whatever range of scales is searched. (Table 4's .646 and .757 at w = 1.85 differ by .060 once divided by w: the
"within 0.06" of section 6.3.) Whoever divides step by step compares nearly the same; `probe` may hand over such numbers.

Scales are probed one at a time, on a grid of their own (`on_grid`) that does not depend on the range: where two searches
end in the same interval, they end with the same numbers. After a few probes over the range comes the place where straight
lines would meet, or the middle of the widest interval while nothing is known to meet.

Where a probe carries the numbers of its single images, a meeting point is only `sure` if resampling the images leaves it
where it is. Curves stretched to their own range (`own_ranges`, kept for saved workflows) meet where the range makes them
meet, noise included; such a point is never sure.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch

from .permutation import CHANCE, FEWEST, chance_of, middle_share, resampled

FLAT = 1e-4  # a curve that moves less is called flat
EQUAL = 1e-6  # a gap this small is none: only rounding is left of it
SPREAD = 4  # probes before bisection begins
MOST = 0.9  # share of the resamplings an interval holds, and that must cross at all
NARROW = 0.08  # an interval wider than this share of its scale says too little
CELLS = 16  # cells of the grid of scales where the place of a scale (see `on_grid`) doubles
BAND = 8  # cells on either side of a crossing whose probes say where it is
COARSE = (
    1.25  # cells between a meeting point and the nearest probe, above which it is not known well
)


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
        gaps: e - d of every probe (e' - d' with own ranges).
        sure: whether they meet there beyond what chance does; False where the probes kept no single images.
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
    own_ranges: bool = False,
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
        ends = place_of(low), place_of(high)
        shares = [k / (SPREAD - 1) for k in range(1, SPREAD - 1)]
        inner = [between(low, high, ends[0] + (ends[1] - ends[0]) * share) for share in shares]
    first = [low, high, *inner][:probes]
    curve = sorted((run(scale) for scale in dict.fromkeys(first)), key=lambda p: p.scale)
    while len(curve) < probes:
        curve = sorted([*curve, run(next_scale(curve, own_ranges))], key=lambda p: p.scale)
    return conclude(curve, own_ranges)


def next_scale(curve: Sequence[Probe], own_ranges: bool) -> float:
    """Where to probe next: where the curves should meet, beside that once it is known, or the middle of an interval."""
    place = bracket(curve, own_ranges)
    if own_ranges:
        place = widest(curve) if place is None else place
        return (curve[place].scale + curve[place + 1].scale) / 2
    if place is None:
        place = widest(curve)
        a, b = curve[place].scale, curve[place + 1].scale
        return between(a, b, (place_of(a) + place_of(b)) / 2)
    a, b = curve[place].scale, curve[place + 1].scale
    if width(curve, place) > 1.5:
        return between(a, b, place_of(meeting(curve, own_ranges, place)))
    beside = (on_grid(round(place_of(a)) + sign * k) for k in range(1, BAND) for sign in (1, -1))
    fresh = (s for s in beside if curve[0].scale < s < curve[-1].scale and not _near(curve, s))
    return next(fresh, (a + b) / 2)


def _near(curve: Sequence[Probe], scale: float) -> bool:
    """Whether a scale has been probed, or one so close that it makes no difference."""
    return any(abs(place_of(p.scale) - place_of(scale)) < 0.5 for p in curve)


def place_of(scale: float) -> float:
    """Place of a scale in cells of the grid: even steps near 0, even ratios far from it, for either sign."""
    return math.copysign(CELLS * math.log2(1 + abs(scale)), scale)


def on_grid(place: float) -> float:
    """The scale of the grid at or nearest a place; it does not depend on the range that is searched."""
    return math.copysign(2 ** (abs(round(place)) / CELLS) - 1, place)


def between(low: float, high: float, place: float) -> float:
    """The scale of the grid nearest a place that lies inside two scales; their middle where the grid has none."""
    place = round(min(max(place, place_of(low)), place_of(high)))
    for steps in (0, 1, -1):
        if low < (scale := on_grid(place + steps)) < high:
            return scale
    return (low + high) / 2


def gaps(curve: Sequence[Probe], own_ranges: bool = False) -> list[float]:
    """e - d of every probe; e' - d' with own ranges, e' = (e - min e) / (max e - min e)."""
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


def bracket(curve: Sequence[Probe], own_ranges: bool = False) -> int | None:
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
    """Width of the interval after a probe, in cells of the grid of scales."""
    return place_of(curve[place + 1].scale) - place_of(curve[place].scale)


def widest(curve: Sequence[Probe]) -> int:
    """Place of the widest interval."""
    return max(range(len(curve) - 1), key=lambda k: (width(curve, k), -k))


def meeting(curve: Sequence[Probe], own_ranges: bool, place: int) -> float:
    """The scale at which the gap is zero, from the interval after a probe in which it changes sign.

    With own ranges the gap is taken for straight within the interval, else for straight over the grid's places. Of probes
    that measured images it is fitted, through all within `BAND` cells: two probes next to each other that chance has moved
    apart would look like a steep curve and a sure answer.
    """
    a, b = curve[place : place + 2]
    sides = gaps(curve, own_ranges)
    at_a, at_b = sides[place : place + 2]
    if own_ranges:
        return a.scale + (b.scale - a.scale) * at_a / (at_a - at_b)
    start, end = place_of(a.scale), place_of(b.scale)
    straight = start + (end - start) * at_a / (at_a - at_b)
    points = [(place_of(p.scale), gap) for p, gap in zip(curve, sides, strict=True)]
    close = [point for point in points if abs(point[0] - straight) <= BAND]
    fitted = _zero_of_line(close) if a.images and len(close) > 2 else None
    if fitted is None or abs(fitted - straight) > BAND:
        fitted = straight
    return math.copysign(2 ** (abs(fitted) / CELLS) - 1, fitted)


def _zero_of_line(points: Sequence[tuple[float, float]]) -> float | None:
    """Where the straight line nearest some points passes 0; None if it is level."""
    middle = sum(x for x, _ in points) / len(points)
    level = sum(y for _, y in points) / len(points)
    spread = sum((x - middle) ** 2 for x, _ in points)
    slope = sum((x - middle) * (y - level) for x, y in points) / spread
    return None if slope == 0 else middle - level / slope


def conclude(curve: Sequence[Probe], own_ranges: bool) -> Crossing:
    """The result a set of probes gives."""
    sides, place = gaps(curve, own_ranges), bracket(curve, own_ranges)
    found = (tuple(curve), tuple(sides))
    if place is None:
        nearest = min(curve, key=lambda p: abs(p.evenness - p.divergence))
        text = f"{_why_not(curve, own_ranges)} Nearest to each other: scale {nearest.scale:.2f}."
        return Crossing(nearest.scale, False, curve[0].scale, curve[-1].scale, text, *found)
    scale = meeting(curve, own_ranges, place)
    a = max((p for p in curve if p.scale <= scale), default=curve[0], key=lambda p: p.scale)
    b = min((p for p in curve if p.scale >= scale), default=curve[-1], key=lambda p: p.scale)
    text = f"Evenness and divergence meet at scale {scale:.2f} (between {a.scale:.2f} and {b.scale:.2f})."
    crossing = Crossing(scale, True, a.scale, b.scale, text, *found)
    return judged(crossing, own_ranges) if curve[0].images else crossing


def judged(crossing: Crossing, own_ranges: bool) -> Crossing:
    """A meeting point with the verdict whether it is more than chance, from the single images of its probes."""
    rows = image_rows(crossing.probes)
    count = rows.shape[1]
    if count < FEWEST:
        doubt = f"{count} images with a subject are too few to tell a meeting point from chance: measure more."
        return replace(crossing, message=_doubted(doubt, crossing))
    interval, share = resampled_meeting(crossing.probes, rows, own_ranges)
    doubt = _doubt(crossing, rows, own_ranges, interval, share)
    if doubt:
        return replace(crossing, interval=interval, message=_doubted(doubt, crossing))
    assert interval is not None
    text = f"{crossing.message[:-2]}; 9 in 10 resamplings of {count} images: {interval[0]:.2f} to {interval[1]:.2f})."
    return replace(crossing, sure=True, interval=interval, message=text)


def _doubt(
    crossing: Crossing,
    rows: torch.Tensor,
    own_ranges: bool,
    interval: tuple[float, float] | None,
    share: float,
) -> str:
    """Why a meeting point is not sure; "" if it is."""
    count = rows.shape[1]
    if own_ranges:
        still = [
            name
            for name, part in zip(("evenness", "divergence"), rows, strict=True)
            if chance_of(part) > CHANCE
        ]
        if still:
            does = "move" if len(still) > 1 else "moves"
            return f"{' and '.join(still)} {does} no more than chance does on {count} images."
    if share < MOST or interval is None:
        return f"when the {count} images are resampled, the curves meet in only {share:.0%} of cases: measure more images."
    if own_ranges:
        return (
            "curves that are stretched to the range searched meet where the range makes them meet."
        )
    off = (interval[1] - interval[0]) / max(abs(crossing.scale), 1.0)
    if off > NARROW:
        wanted = math.ceil(count * (off / NARROW) ** 2)
        return (
            f"resampling the {count} images moves the meeting point between {interval[0]:.2f} and {interval[1]:.2f};"
            f" about {wanted} images would settle it."
        )
    here = place_of(crossing.scale)
    if min(abs(place_of(p.scale) - here) for p in crossing.probes) > COARSE:
        return "the scales around it were probed too coarsely: raise the number of probes."
    return ""


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
        numbers = zip(scales, even, diverging, strict=True)
        drawn = [Probe(*row, images=curve[0].images) for row in numbers]
        place = bracket(drawn, own_ranges)
        if place is not None:
            points.append(meeting(drawn, own_ranges, place))
    return (middle_share(points, MOST) if points else None), len(points) / len(weights)


def _doubted(doubt: str, crossing: Crossing) -> str:
    return f"Within noise: {doubt} The crossing at scale {crossing.scale:.2f} is not a sure result."


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
