"""Line plots: axes, ticks, labels, legend. Drawn at twice the size and reduced, for smooth lines."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from PIL import Image, ImageDraw

from .canvas import FAINT, INK, PAPER, Colour, fitting_size, font, text_width

# Told apart by colour-blind readers too (Okabe and Ito), and by the shape of their points.
BLUE, ORANGE, GREEN = (0, 114, 178), (213, 94, 0), (0, 140, 105)
SKY, PURPLE = (86, 180, 233), (204, 121, 167)
SIZE = (768, 480)
FINE = 2
SHADE = (240, 241, 245)
BAR = (204, 187, 68)
DISC, SQUARE, DIAMOND = "disc", "square", "diamond"


@dataclass(frozen=True)
class Series:
    """A named line; None is a gap. `errors`: half the height of a bar at every point."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float | None]
    colour: Colour
    point: str = DISC
    errors: Sequence[float] = ()


@dataclass(frozen=True)
class Plot:
    """What to generate.

    Attributes:
        title: above the axes; it may have two lines.
        x_label: below the axes.
        series: lines.
        y_range: ends of the vertical axis; from the numbers if None.
        x_ticks: where to write numbers; chosen if None.
        mark: an x to draw a dashed vertical line at.
        band: ends of a shaded range of x.
        intervals: (name, ranges of x) drawn as bars under each other: where something was on.
    """

    title: str
    x_label: str
    series: Sequence[Series]
    y_range: tuple[float, float] | None = None
    x_ticks: Sequence[float] | None = None
    mark: float | None = None
    band: tuple[float, float] | None = None
    intervals: Sequence[tuple[str, Sequence[tuple[float, float]]]] = ()


@dataclass(frozen=True)
class Axes:
    """From numbers to pixels."""

    left: float
    top: float
    right: float
    bottom: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]

    def x(self, value: float) -> float:
        return self.left + (self.right - self.left) * _share(value, self.x_range)

    def y(self, value: float) -> float:
        return self.bottom - (self.bottom - self.top) * _share(value, self.y_range)


def _share(value: float, ends: tuple[float, float]) -> float:
    return (value - ends[0]) / (ends[1] - ends[0])


def ticks(low: float, high: float, wanted: int = 6) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) within a range."""
    raw = (high - low) / max(wanted, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 10) for k in range(first, last + 1)]


def span(values: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis that shows all values; never empty."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    return (low, high) if high - low > 1e-9 else (low - 0.5, high + 0.5)


def reach(line: Series) -> list[float]:
    """Everything a line covers vertically: its points, and the ends of its error bars."""
    errors = line.errors or [0.0] * len(line.ys)
    pairs = [(y, e) for y, e in zip(line.ys, errors, strict=True) if y is not None]
    return [y + sign * e for y, e in pairs for sign in (-1, 1)]


def draw_plot(plot: Plot) -> Image.Image:
    """The plot as an image of `SIZE`."""
    width, height = SIZE[0] * FINE, SIZE[1] * FINE
    canvas = Image.new("RGB", (width, height), PAPER)
    pen, text = ImageDraw.Draw(canvas), 15 * FINE
    xs = [x for line in plot.series for x, y in zip(line.xs, line.ys, strict=True) if y is not None]
    low, high = span(xs if plot.x_ticks is None else [*xs, *plot.x_ticks])
    pad = (high - low) * 0.02
    axes = Axes(
        left=64 * FINE,
        top=(92 if "\n" in plot.title else 74) * FINE,
        right=width - 24 * FINE,
        bottom=height - 58 * FINE,
        x_range=(low - pad, high + pad),
        y_range=plot.y_range or span([y for line in plot.series for y in reach(line)]),
    )
    _band(pen, axes, plot.band)
    _frame(pen, axes, plot, text)
    _mark(pen, axes, plot.mark)
    _intervals(pen, axes, plot.intervals, text)
    for line in plot.series:
        _line(pen, axes, line)
    _title(pen, plot.title, width, text)
    _legend(pen, plot.series, axes, text)
    return canvas.resize(SIZE, Image.Resampling.LANCZOS)


def _frame(pen: ImageDraw.ImageDraw, axes: Axes, plot: Plot, size: int) -> None:
    """Grid lines, tick numbers, axis label."""
    for y in ticks(*axes.y_range):
        pen.line((axes.left, axes.y(y), axes.right, axes.y(y)), fill=FAINT, width=FINE)
        label = f"{y:g}"
        left = axes.left - text_width(label, size) - 8 * FINE
        pen.text((left, axes.y(y) - 0.6 * size), label, fill=INK, font=font(size))
    for x in plot.x_ticks or ticks(*axes.x_range, wanted=9):
        pen.line((axes.x(x), axes.bottom, axes.x(x), axes.bottom + 5 * FINE), fill=INK, width=FINE)
        label = f"{x:g}"
        left = axes.x(x) - text_width(label, size) / 2
        pen.text((left, axes.bottom + 8 * FINE), label, fill=INK, font=font(size))
    pen.line((axes.left, axes.bottom, axes.right, axes.bottom), fill=INK, width=FINE)
    middle = (axes.left + axes.right - text_width(plot.x_label, size)) / 2
    pen.text((middle, axes.bottom + 29 * FINE), plot.x_label, fill=INK, font=font(size))


def _band(pen: ImageDraw.ImageDraw, axes: Axes, ends: tuple[float, float] | None) -> None:
    """A shaded range of x."""
    if ends is not None:
        pen.rectangle((axes.x(ends[0]), axes.top, axes.x(ends[1]), axes.bottom), fill=SHADE)


def _intervals(
    pen: ImageDraw.ImageDraw,
    axes: Axes,
    intervals: Sequence[tuple[str, Sequence[tuple[float, float]]]],
    size: int,
) -> None:
    """Bars above the x axis, the first at the bottom, each with its name at the left."""
    for row, (name, ranges) in enumerate(intervals):
        y = axes.bottom - (12 + 24 * row) * FINE
        for first, last in ranges:
            pen.line((axes.x(first), y, axes.x(last), y), fill=BAR, width=8 * FINE)
        pen.text((axes.left, y - 0.6 * size), f"{name} on", fill=INK, font=font(size))


def _mark(pen: ImageDraw.ImageDraw, axes: Axes, place: float | None) -> None:
    """A dashed vertical line."""
    if place is None:
        return
    x, dash = axes.x(place), 6 * FINE
    for y in range(int(axes.top), int(axes.bottom), 2 * dash):
        pen.line((x, y, x, min(y + dash, axes.bottom)), fill=INK, width=FINE)


def _line(pen: ImageDraw.ImageDraw, axes: Axes, line: Series) -> None:
    places = [
        None if y is None else (axes.x(x), axes.y(y)) for x, y in zip(line.xs, line.ys, strict=True)
    ]
    for a, b in pairwise(places):
        if a is not None and b is not None:
            pen.line((*a, *b), fill=line.colour, width=3 * FINE)
    for place, y, error in zip(places, line.ys, line.errors, strict=False):
        if place is not None and y is not None:
            ends = (place[0], axes.y(y - error), place[0], axes.y(y + error))
            pen.line(ends, fill=line.colour, width=FINE)
    for place in places:
        if place is not None:
            _point(pen, place, line)


def _point(pen: ImageDraw.ImageDraw, place: tuple[float, float], line: Series) -> None:
    (x, y), r = place, 4.5 * FINE
    if line.point == SQUARE:
        pen.rectangle((x - r, y - r, x + r, y + r), fill=line.colour)
    elif line.point == DIAMOND:
        d = 1.4 * r
        pen.polygon([(x - d, y), (x, y - d), (x + d, y), (x, y + d)], fill=line.colour)
    else:
        pen.ellipse((x - r, y - r, x + r, y + r), fill=line.colour)


def _title(pen: ImageDraw.ImageDraw, title: str, width: int, text: int) -> None:
    lines = title.split("\n")
    for row, line in enumerate(lines):
        size = fitting_size([line], width - 48 * FINE, round(text * (1.2 if row == 0 else 1.0)))
        pen.text((24 * FINE, (12 + 24 * row) * FINE), line, fill=INK, font=font(size))


def _legend(pen: ImageDraw.ImageDraw, series: Sequence[Series], axes: Axes, size: int) -> None:
    """Names in a row above the axes."""
    x, y = axes.left, axes.top - 28 * FINE
    for line in series:
        pen.line(
            (x, y + 0.6 * size, x + 28 * FINE, y + 0.6 * size), fill=line.colour, width=3 * FINE
        )
        _point(pen, (x + 14 * FINE, y + 0.6 * size), line)
        pen.text((x + 35 * FINE, y), line.name, fill=INK, font=font(size))
        x += 59 * FINE + text_width(line.name, size)
