"""Plots of a report: curves of settings that share a label, over their strengths or over another metric."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ar_guidance.imaging.plot import (
    BLUE,
    DIAMOND,
    DISC,
    GREEN,
    ORANGE,
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
STYLES = [(colour, point) for point in (DISC, SQUARE, DIAMOND) for colour in (BLUE, ORANGE, GREEN)]
Spec = Mapping[str, Any]


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
    title = spec.get("title") or ", ".join(_title(name, rows) for name in _names(spec))
    return draw_plot(Plot(str(title), str(label), lines))


def curves(spec: Spec, rows: Sequence[Row]) -> list[Series]:
    """A line per label and metric, in the order of the strengths."""
    metrics, x = _names(spec), str(spec.get("x", STRENGTH))
    chosen = [row for row in rows if row.setting.strength is not None and _wanted(spec, row)]
    lines = []
    for label in dict.fromkeys(row.setting.label for row in chosen):
        own = sorted(
            (row for row in chosen if row.setting.label == label),
            key=lambda row: row.setting.strength or 0.0,
        )
        for metric in metrics:
            points = [
                row for row in own if metric in row.metrics and (x == STRENGTH or x in row.metrics)
            ]
            name = label if len(metrics) == 1 else f"{label}, {metric}"
            lines.append(_line(name, points, x, metric, len(lines)))
    return lines


def _names(spec: Spec) -> list[str]:
    return list(spec["y"]) if isinstance(spec["y"], list) else [str(spec["y"])]


def _wanted(spec: Spec, row: Row) -> bool:
    """Whether a figure shows a row: its label and its model, where the figure names some."""
    labels, model = spec.get("labels"), spec.get("model")
    return (not labels or row.setting.label in labels) and (not model or row.setting.model == model)


def _line(name: str, rows: Sequence[Row], x: str, y: str, place: int) -> Series:
    colour, point = STYLES[place % len(STYLES)]
    xs = [row.setting.strength or 0.0 if x == STRENGTH else row.metrics[x].value for row in rows]
    halves = [row.metrics[y].half for row in rows]
    errors = [half if half == half else 0.0 for half in halves]  # NaN: no interval
    return Series(name, xs, [row.metrics[y].value for row in rows], colour, point, errors)


def _title(metric: str, rows: Sequence[Row]) -> str:
    return next((row.metrics[metric].title for row in rows if metric in row.metrics), metric)
