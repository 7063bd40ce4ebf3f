"""Line plots: axes, ticks, labels, legend. Drawn at twice the size and reduced, for smooth lines."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from PIL import Image, ImageDraw

from .canvas import FAINT, INK, PAPER, Colour, fitting_size, font, legible, text_width

# Told apart by colour-blind readers too (Okabe and Ito), and by the shape of their points.
BLUE, ORANGE, GREEN = (0, 114, 178), (213, 94, 0), (0, 140, 105)
SKY, PURPLE = (86, 180, 233), (204, 121, 167)
SIZE = (768, 480)
FINE = 2
SHADE = (240, 241, 245)
BAR = (204, 187, 68)
DISC, SQUARE, DIAMOND = "disc", "square", "diamond"
LEGEND_ROW = 22


@dataclass(frozen=True)
class Series:
    """A named line; None is a gap. `errors`, `x_errors`: half the length of an upright and of a level bar at every point."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float | None]
    colour: Colour
    point: str = DISC
    errors: Sequence[float] = ()
    x_errors: Sequence[float] = ()


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
        y_label: along the vertical axis.
    """

    title: str
    x_label: str
    series: Sequence[Series]
    y_range: tuple[float, float] | None = None
    x_ticks: Sequence[float] | None = None
    mark: float | None = None
    band: tuple[float, float] | None = None
    intervals: Sequence[tuple[str, Sequence[tuple[float, float]]]] = ()
    y_label: str = ""


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
    return _reach(line.ys, line.ys, line.errors)


def _reach(
    values: Sequence[float | None], ys: Sequence[float | None], errors: Sequence[float]
) -> list[float]:
    """Ends of the bars around some values, of points that are there."""
    rows = zip(values, ys, errors or [0.0] * len(ys), strict=True)
    there = [(v, e) for v, y, e in rows if v is not None and y is not None]
    return [v + sign * e for v, e in there for sign in (-1, 1)]


def draw_plot(plot: Plot) -> Image.Image:
    """The plot as an image of `SIZE`."""
    plot = _legible(plot)
    width, height = SIZE[0] * FINE, SIZE[1] * FINE
    canvas = Image.new("RGB", (width, height), PAPER)
    pen, text = ImageDraw.Draw(canvas), 15 * FINE
    entries = _entries(plot.series, width, text)
    axes = _axes(plot, width, height, rows=1 + max((row for _, row in entries), default=0))
    _band(pen, axes, plot.band)
    _frame(pen, axes, plot, text)
    _mark(pen, axes, plot.mark)
    _intervals(pen, axes, plot.intervals, text)
    for line in plot.series:
        _line(pen, axes, line)
    _title(pen, plot.title, width, text)
    _legend(pen, plot.series, entries, axes, text)
    _upright(canvas, axes, plot.y_label, text)
    return canvas.resize(SIZE, Image.Resampling.LANCZOS)


def _legible(plot: Plot) -> Plot:
    """The plot with words the font can write."""
    title = "\n".join(legible(line) for line in plot.title.split("\n"))
    series = [replace(line, name=legible(line.name)) for line in plot.series]
    labels = legible(plot.x_label), legible(plot.y_label)
    return replace(plot, title=title, series=series, x_label=labels[0], y_label=labels[1])


def _axes(plot: Plot, width: int, height: int, rows: int) -> Axes:
    """Where the plot lies under a legend of some rows, and what it shows: every point and every bar."""
    xs = [x for line in plot.series for x in _reach(line.xs, line.ys, line.x_errors)]
    low, high = span(xs if plot.x_ticks is None else [*xs, *plot.x_ticks])
    pad = (high - low) * 0.02
    bottom, top = span([y for line in plot.series for y in reach(line)])
    room = (top - bottom) * 0.03
    return Axes(
        left=(88 if plot.y_label else 64) * FINE,
        top=((92 if "\n" in plot.title else 74) + LEGEND_ROW * (rows - 1)) * FINE,
        right=width - 24 * FINE,
        bottom=height - 58 * FINE,
        x_range=(low - pad, high + pad),
        y_range=plot.y_range or (bottom - room, top + room),
    )


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
        if place is not None and y is not None and error:
            _bar(pen, place[0], (axes.y(y - error), axes.y(y + error)), line.colour)
    for place, x, error in zip(places, line.xs, line.x_errors, strict=False):
        if place is not None and error:
            _bar(pen, place[1], (axes.x(x - error), axes.x(x + error)), line.colour, level=True)
    for place in places:
        if place is not None:
            _point(pen, place, line)


def _bar(
    pen: ImageDraw.ImageDraw,
    at: float,
    ends: tuple[float, float],
    colour: Colour,
    level: bool = False,
) -> None:
    """An error bar and its caps: upright at an x, or level at a y."""
    cap = 4 * FINE
    lines = [(at, ends[0], at, ends[1]), *((at - cap, end, at + cap, end) for end in ends)]
    for x, y, to_x, to_y in lines:
        pen.line((y, x, to_y, to_x) if level else (x, y, to_x, to_y), fill=colour, width=FINE)


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


def _entries(series: Sequence[Series], width: int, size: int) -> list[tuple[float, int]]:
    """Left end and row of every name in the legend: a name that would not fit begins a row."""
    places, left, row = [], 0.0, 0
    for line in series:
        wide = 59 * FINE + text_width(line.name, size)
        if left and left + wide > width - 88 * FINE:
            left, row = 0.0, row + 1
        places.append((left, row))
        left += wide
    return places


def _legend(
    pen: ImageDraw.ImageDraw,
    series: Sequence[Series],
    entries: Sequence[tuple[float, int]],
    axes: Axes,
    size: int,
) -> None:
    """Names in rows above the axes."""
    last = max((row for _, row in entries), default=0)
    for line, (left, row) in zip(series, entries, strict=True):
        x, y = axes.left + left, axes.top - (28 + LEGEND_ROW * (last - row)) * FINE
        pen.line(
            (x, y + 0.6 * size, x + 28 * FINE, y + 0.6 * size), fill=line.colour, width=3 * FINE
        )
        _point(pen, (x + 14 * FINE, y + 0.6 * size), line)
        pen.text((x + 35 * FINE, y), line.name, fill=INK, font=font(size))


def _upright(canvas: Image.Image, axes: Axes, label: str, size: int) -> None:
    """The vertical axis' label, read from below."""
    if not label:
        return
    words = Image.new("RGB", (text_width(label, size) + FINE, round(1.4 * size)), PAPER)
    ImageDraw.Draw(words).text((0, 0), label, fill=INK, font=font(size))
    words = words.transpose(Image.Transpose.ROTATE_90)
    middle = (axes.top + axes.bottom - words.height) / 2
    canvas.paste(words, (6 * FINE, max(0, round(middle))))
