"""Plots of a report: curves of settings that share a label, over their strengths or over another metric."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isnan
from typing import Any, TypeVar

from ar_guidance.imaging.plot import (
    BLUE,
    DIAMOND,
    DISC,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    SQUARE,
    Plot,
    Series,
    draw_plot,
)
from PIL import Image

from .problems import EvaluationError
from .report import Row

STRENGTH = "strength"
KNOWN = {"name", "title", "x", "x_label", "y", "labels", "model"}
COLOURS, POINTS = (BLUE, ORANGE, GREEN, PURPLE, SKY), (DISC, SQUARE, DIAMOND)
ASIDE = (
    0.006  # of the axis: between curves at the same strength, so that their bars can be told apart
)
BARS = "; bars: 95 % intervals"
Spec = Mapping[str, Any]
T = TypeVar("T")


def check_figures(specs: Sequence[Any]) -> None:
    """Raise EvaluationError for what is no description of a figure."""
    for spec in specs:
        if not isinstance(spec, dict) or not {"name", "y"} <= set(spec):
            raise EvaluationError(f"'figures': each needs a 'name' and a 'y', a metric: {spec!r}")
        if not re.fullmatch(r"\w[\w.-]*", str(spec["name"])):
            raise EvaluationError(
                f"'figures': the name becomes a file's: letters, digits, '.', '-' and '_', not {spec['name']!r}"
            )
        unknown = set(spec) - KNOWN
        if unknown:
            raise EvaluationError(
                f"'figures': unknown entry '{sorted(unknown)[0]}'; there are: {', '.join(sorted(KNOWN))}"
            )


def draw_figure(spec: Spec, rows: Sequence[Row]) -> Image.Image | None:
    """A figure, or None where the report has no two points of a curve."""
    lines = [line for line in curves(spec, rows) if len(line.xs) > 1]
    if not lines:
        return None
    x = str(spec.get("x", STRENGTH))
    label = spec.get("x_label") or (x if x == STRENGTH else _title(x, rows))
    measured = ", ".join(_title(name, rows) for name in _names(spec))
    bars = any(any(line.errors) for line in lines)
    title = (
        f"{spec.get('title') or f'{measured} against {label}'}\n{_amount(spec, rows)}" + BARS * bars
    )
    return draw_plot(Plot(title, str(label), lines, y_label=measured))


def curves(spec: Spec, rows: Sequence[Row]) -> list[Series]:
    """A line per label and metric, in the order of the strengths: a colour a label, a shape of points a metric."""
    metrics, x = _names(spec), str(spec.get("x", STRENGTH))
    chosen = [row for row in rows if row.setting.strength is not None and _wanted(spec, row)]
    labels = list(dict.fromkeys(row.setting.label for row in chosen))
    strengths = [row.setting.strength or 0.0 for row in chosen]
    lines = []
    for place, label in enumerate(labels):
        own = sorted(
            (row for row in chosen if row.setting.label == label),
            key=lambda row: row.setting.strength or 0.0,
        )
        for number, metric in enumerate(metrics):
            points = [
                row for row in own if metric in row.metrics and (x == STRENGTH or x in row.metrics)
            ]
            name = label if len(metrics) == 1 else f"{label}, {metric}"
            aside = (place - (len(labels) - 1) / 2) * ASIDE * (max(strengths) - min(strengths))
            line = _line(name, points, x, metric, aside)
            lines.append(replace(line, colour=_of(COLOURS, place), point=_of(POINTS, number)))
    return lines


def _names(spec: Spec) -> list[str]:
    return list(spec["y"]) if isinstance(spec["y"], list) else [str(spec["y"])]


def _wanted(spec: Spec, row: Row) -> bool:
    """Whether a figure shows a row: its label and its model, where the figure names some."""
    labels, model = spec.get("labels"), spec.get("model")
    return (not labels or row.setting.label in labels) and (not model or row.setting.model == model)


def _line(name: str, rows: Sequence[Row], x: str, y: str, aside: float) -> Series:
    """A curve with the intervals of both its metrics; over the strength, so far aside of it."""
    ys, errors = [row.metrics[y].value for row in rows], _halves(rows, y)
    if x == STRENGTH:
        return Series(
            name, [(row.setting.strength or 0.0) + aside for row in rows], ys, BLUE, errors=errors
        )
    xs = [row.metrics[x].value for row in rows]
    return Series(name, xs, ys, BLUE, errors=errors, x_errors=_halves(rows, x))


def _halves(rows: Sequence[Row], metric: str) -> list[float]:
    """Half the interval of every point; 0 where none is known."""
    return [0.0 if isnan(half := row.metrics[metric].half) else half for row in rows]


def _amount(spec: Spec, rows: Sequence[Row]) -> str:
    """How many samples a point stands for."""
    counts = [
        row.samples for row in rows if row.setting.strength is not None and _wanted(spec, row)
    ]
    few, many = min(counts), max(counts)
    return f"{few:,} samples a point" if few == many else f"{few:,} to {many:,} samples a point"


def _of(styles: Sequence[T], place: int) -> T:
    return styles[place % len(styles)]


def _title(metric: str, rows: Sequence[Row]) -> str:
    return next((row.metrics[metric].title for row in rows if metric in row.metrics), metric)
