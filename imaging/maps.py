"""Maps of a recorded run laid over the image they belong to, with a colour bar and numbers.

Per scale, a map (h, w) is enlarged to the image by nearest neighbour, so that every token stays visible. Combined is
the mean of the enlarged maps over the steps, weighted by their tokens, the first step left out, as in the metrics.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from ..analysis.metrics import evenness, weighted_mean
from ..guidance.record import Trace
from .canvas import (
    FAINT,
    INK,
    PAPER,
    colourise,
    fitting_size,
    font,
    from_pil,
    number,
    text_width,
    to_pil,
)
from .map_names import unnumbered

MIN_WIDTH = 320  # smaller images are enlarged by whole pixels, so that the numbers can be read
MARGIN = 8
Limits = tuple[float, float]


@dataclass(frozen=True)
class MapStyle:
    """How maps are drawn.

    Attributes:
        opacity: 0 = only the image, 1 = only the map.
        colours: name of the colour map.
        shared: one colour range for all panels instead of each its own.
    """

    opacity: float = 0.6
    colours: str = "viridis"
    shared: bool = False


@dataclass(frozen=True)
class Panel:
    """One overlay to be: an image (H, W, 3), a map (h, w) or None, and what is written above."""

    image: Tensor
    values: Tensor | None
    lines: tuple[str, str]


def draw_maps(
    trace: Trace, images: Tensor, name: str, style: MapStyle, combined: bool = False
) -> Tensor:
    """Overlays as IMAGE: image by image, and of each image scale by scale unless combined.

    Args:
        trace: what was recorded.
        images: the images of the run (B, H, W, 3).
        name: of the map.
        style: how to draw.
        combined: one overlay per image.

    Raises:
        ValueError: the run did not record such a map.

    A token-by-token run has one overlay per image, either way.
    """
    make = _combined if combined and trace.image_grid is None else _per_scale
    trace = trace.whole()
    rows = recorded(trace, name)
    panels = [
        panel
        for row, image in enumerate(images)
        for panel in make([None if m is None else m[row] for m in rows], name, trace, image)
    ]
    limits = limits_of([d.values for d in panels]) if style.shared else None
    return from_pil([draw(panel, style, limits) for panel in panels])


def recorded(trace: Trace, name: str) -> list[Tensor | None]:
    """The maps of that name, in single precision; None at steps on which nothing was recorded but zeros."""
    if not _has(trace, name):
        there = [other for other in trace.maps if _has(trace, other)]
        raise ValueError(
            f"this run recorded no '{name}': {_source(name)}. Choose one of: {', '.join(there)}"
        )
    return [None if m is None or not m.any() else m.float() for m in trace.maps[name]]


def _has(trace: Trace, name: str) -> bool:
    return any(m is not None and m.any() for m in trace.maps.get(name, ()))


def _source(name: str) -> str:
    """Which node a map comes from."""
    plain, number = unnumbered(name)
    if number > 1:
        return f"it needs {number} guidance nodes of the kind that gives '{plain}'"
    if plain == "attention":
        return "attention comes from AR Guidance: IGG or the CFG-IGG mix"
    if plain.endswith(" direction"):
        return f"it comes from the guidance node '{plain.split()[0]}'"
    return "it needs a guidance node with a scale that is not 1"


def _per_scale(
    rows: Sequence[Tensor | None], name: str, trace: Trace, image: Tensor
) -> list[Panel]:
    panels = []
    for step, (values, (h, w)) in enumerate(zip(rows, trace.grids, strict=True)):
        top = f"{step_name(trace, step)}, {h}x{w} tokens" if len(rows) > 1 else f"{h}x{w} tokens"
        below = f"{name}: off" if values is None else f"{name}, evenness {_evenness(values):.3f}"
        panels.append(Panel(image, values, (top, below)))
    return panels


def step_name(trace: Trace, step: int) -> str:
    """What a step is called: a scale, or a step from a noise level."""
    count = len(trace.grids)
    if trace.noise:
        return f"step {step + 1} of {count}, noise {number(trace.noise[step])}"
    return f"scale {step + 1} of {count}"


def _combined(rows: Sequence[Tensor | None], name: str, trace: Trace, image: Tensor) -> list[Panel]:
    size, counts = (image.shape[0], image.shape[1]), [h * w for h, w in trace.grids]
    mean = weighted_mean([None if m is None else enlarge(m, size) for m in rows], counts)
    even = weighted_mean([None if m is None else evenness(m.flatten()) for m in rows], counts)
    below = f"{name}: off" if even is None else f"{name}, evenness {even.item():.3f}"
    return [Panel(image, mean, ("all steps" if trace.noise else "all scales", below))]


def _evenness(values: Tensor) -> float:
    return evenness(values.flatten()).item()


def enlarge(values: Tensor, size: tuple[int, int]) -> Tensor:
    """A map (h, w) at another size, nearest neighbour."""
    return F.interpolate(values[None, None], size=size, mode="nearest-exact")[0, 0]


def limits_of(maps: Sequence[Tensor | None]) -> Limits:
    """Smallest and largest value; from 0 where they are one."""
    values = [m for m in maps if m is not None]
    if not values:
        return 0.0, 1.0
    low, high = min(m.min().item() for m in values), max(m.max().item() for m in values)
    if low < high:
        return low, high
    return (0.0, high) if high > 0 else (low, low + 1.0)


def overlay(image: Tensor, values: Tensor, limits: Limits, style: MapStyle) -> Tensor:
    """An image (H, W, 3) under a map (h, w) coloured from `limits`.

    The image turns grey as the map grows opaque: two colours on top of each other cannot be read.
    """
    low, high = limits
    shares = (enlarge(values, (image.shape[0], image.shape[1])) - low) / (high - low)
    colours = colourise(shares, style.colours)
    plain = image.float().cpu()
    below = torch.lerp(plain, plain.mean(-1, keepdim=True).expand_as(plain), style.opacity)
    return torch.lerp(below, colours, style.opacity)


def draw(panel: Panel, style: MapStyle, limits: Limits | None = None) -> Image.Image:
    """The finished panel: two lines of text, the overlay, the colour bar."""
    image, values = panel.image, panel.values
    limits = limits or limits_of([values])
    blended = image if values is None else overlay(image, values, limits, style)
    body = to_pil(blended)
    factor = max(1, -(-MIN_WIDTH // body.width))
    body = body.resize((body.width * factor, body.height * factor), Image.Resampling.NEAREST)
    size = fitting_size(list(panel.lines), body.width - 2 * MARGIN, max(15, body.width // 36))
    head, foot = round(2.9 * size), round(2.8 * size)
    canvas = Image.new("RGB", (body.width, head + body.height + foot), PAPER)
    canvas.paste(body, (0, head))
    pen = ImageDraw.Draw(canvas)
    for row, line in enumerate(panel.lines):
        pen.text((MARGIN, size * (0.2 + 1.25 * row)), line, fill=INK, font=font(size))
    if values is not None:
        _colour_bar(canvas, head + body.height, limits, style.colours, size)
    return canvas


def _colour_bar(canvas: Image.Image, top: int, limits: Limits, colours: str, size: int) -> None:
    """A strip of all colours with the numbers of its ends and middle."""
    pen, width = ImageDraw.Draw(canvas), canvas.width - 2 * MARGIN
    strip = colourise(torch.linspace(0, 1, width), colours).expand(size, -1, -1)
    canvas.paste(to_pil(strip), (MARGIN, top + size // 3))
    box = (MARGIN - 1, top + size // 3 - 1, MARGIN + width, top + size // 3 + size)
    pen.rectangle(box, outline=FAINT)
    low, high = limits
    for share in (0.0, 0.5, 1.0):
        text = number(low + (high - low) * share)
        left = MARGIN + share * (width - text_width(text, size))
        pen.text((left, top + 1.4 * size), text, fill=INK, font=font(size))
