"""Measurements and searches in words: JSON and plots for the inspecting nodes."""

import json
from collections.abc import Mapping, Sequence

from torch import Tensor

from ..analysis.crossing import Crossing, on_own_range
from ..analysis.measure import Measured
from ..guidance.record import Trace
from .canvas import from_pil, number
from .plot import BLUE, DIAMOND, DISC, GREEN, ORANGE, PURPLE, SKY, SQUARE, Plot, Series, draw_plot

METRICS = ("evenness", "divergence", "entropy", "strength")
STYLE = {"evenness": (BLUE, DISC), "divergence": (ORANGE, SQUARE), "entropy": (GREEN, DIAMOND)}
# Entropies before guidance, and of the nudge.
SAMPLED = {"conditional": (SKY, DISC), "nudge": (PURPLE, SQUARE)}


def metrics_json(trace: Trace, guidance: tuple[str, ...], measured: Measured) -> str:
    """Everything measured: the means, every step, every image."""
    sampled = [name for name in SAMPLED if _has(measured, name)]
    steps = [
        {"step": step + 1, "grid": list(grid)}
        | ({"noise": short(trace.noise[step])} if trace.noise else {})
        | {name: short(value) for name, value in zip(METRICS, row, strict=True)}
        | {f"{name} entropy": short(measured.per_step(name)[step]) for name in sampled}
        | {
            name: short(values[step])
            for name, values in trace.numbers.items()
            if values[step] is not None
        }
        for step, (grid, row) in enumerate(zip(trace.grids, _columns(measured), strict=True))
    ]
    images = [
        {name: short(measured.of_image(name, k)) for name in METRICS if _has(measured, name)}
        for k in range(trace.batch)
    ]
    means = {name: short(measured.mean(name)) for name in METRICS}
    means |= {f"{name} entropy": short(measured.mean(name)) for name in sampled}
    return dump(means | {"guidance": list(guidance), "steps": steps, "pictures": images})


def metrics_plot(measured: Measured, trace: Trace) -> Tensor:
    """Evenness, divergence and entropies over the steps, as IMAGE; of a diffusion run, also when each guidance was on."""
    steps = range(1, len(measured.tokens) + 1)
    told = [name for name in STYLE if _has(measured, name)]
    names = [name for name in told if name != "entropy" or not trace.noise]  # of tokens
    rows = measured.whole is not None
    title = f"{'whole image' if rows else 'mean over the steps'}: " + ", ".join(
        f"{name} {'none' if (mean := measured.mean(name)) is None else f'{mean:.3f}'}"
        for name in names
    )
    series = [Series(name, steps, measured.per_step(name), *STYLE[name]) for name in names]
    series += [
        Series(f"… {name}", steps, measured.per_step(name), *style)
        for name, style in SAMPLED.items()
        if _has(measured, name)
    ]
    ticks = steps if len(steps) <= 20 else None
    label = "row of tokens (top to bottom)" if rows else "scale (coarse to fine)"
    if trace.noise:
        label = f"step (noise {number(trace.noise[0])} to {number(trace.noise[-1])})"
    intervals = [(name, ranges(acted)) for name, acted in trace.acted.items() if trace.noise]
    plot = Plot(title, label, series, y_range=(0.0, 1.02), x_ticks=ticks, intervals=intervals)
    return from_pil([draw_plot(plot)])


def ranges(acted: Sequence[bool]) -> list[tuple[float, float]]:
    """Unbroken runs of steps, counted from 1, each from half a step before to half a step after."""
    found, start = [], None
    for step, on in enumerate((*acted, False), start=1):
        if on and start is None:
            start = step
        elif not on and start is not None:
            found.append((start - 0.5, step - 0.5))
            start = None
    return found


def search_json(found: Crossing) -> str:
    """The curve of a search."""
    probes = [
        {
            "scale": short(probe.scale),
            "evenness": short(probe.evenness),
            "divergence": short(probe.divergence),
            "gap": short(gap),
        }
        for probe, gap in zip(found.probes, found.gaps, strict=True)
    ]
    return dump(
        {
            "scale": short(found.scale),
            "crosses": found.crosses,
            "sure": found.sure,
            "between": [short(found.low), short(found.high)],
            "interval": [short(end) for end in found.interval] if found.interval else None,
            "message": found.message,
            "probes": probes,
        }
    )


def search_plot(found: Crossing, own_ranges: bool) -> Tensor:
    """Both curves over the scale, and where they meet, as IMAGE."""
    scales = [probe.scale for probe in found.probes]
    series = []
    for name in ("evenness", "divergence"):
        values = [getattr(probe, name) for probe in found.probes]
        label = f"{name} ({min(values):.3f} to {max(values):.3f})" if own_ranges else name
        shown = on_own_range(values) if own_ranges else values
        series.append(Series(label, scales, shown, *STYLE[name]))
    title, met = found.message, found.crosses and not found.in_doubt
    if not met:
        first, _, rest = title.partition(": ")
        title = f"{first}\n{rest[:1].upper()}{rest[1:]}"
    label = "guidance scale (each curve on its own range)" if own_ranges else "guidance scale"
    mark, band = (found.scale, found.interval) if met else (None, None)
    return from_pil([draw_plot(Plot(title, label, series, (-0.02, 1.02), mark=mark, band=band))])


def _columns(measured: Measured) -> list[tuple[float | None, ...]]:
    """Per step the mean of every metric."""
    rows = [
        measured.per_step(name) if _has(measured, name) else (None,) * len(measured.tokens)
        for name in METRICS
    ]
    return list(zip(*rows, strict=True))


def _has(measured: Measured, name: str) -> bool:
    return bool(getattr(measured, name))


def short(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


def dump(content: Mapping[str, object]) -> str:
    return json.dumps(content, indent=1, allow_nan=False)
