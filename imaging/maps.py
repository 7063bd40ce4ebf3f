"""Maps of a recorded run laid over the image they belong to, with a colour bar and numbers (arXiv 2509.23876, Fig. 1 and 2).

Per scale, a map (h, w) is enlarged to the image by nearest neighbour, so that every token stays visible. Combined is
the mean of the enlarged maps over the steps, weighted by their tokens, the first step left out, as in the metrics.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from ..analysis.measure import DIRECTION, SHARE, SOFTMAX, backgrounds, vocabulary_of
from ..analysis.metrics import background_picks, divergence, evenness, weighted_mean
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
        spread: how the numbers above a map see it, see `analysis.measure`.
        seed: of the background tokens the divergence draws.
    """

    opacity: float = 0.6
    colours: str = "viridis"
    shared: bool = False
    spread: str = SOFTMAX
    seed: int = 0


@dataclass(frozen=True)
class Scores:
    """Evenness and divergence of one image's map at a step; None where there is none."""

    evenness: Tensor | None = None
    divergence: Tensor | None = None

    def text(self) -> str:
        """For a line above the map."""
        parts = {"evenness": self.evenness, "divergence": self.divergence}
        return ", ".join(f"{n} {v.item():.3f}" for n, v in parts.items() if v is not None)


@dataclass(frozen=True)
class Drawn:
    """One image and what is drawn over it.

    Attributes:
        name: of the map.
        image: (H, W, 3).
        rows: its map (h, w) at every step, or None.
        scores: of every step.
        trace: what it was recorded in.
    """

    name: str
    image: Tensor
    rows: Sequence[Tensor | None]
    scores: Sequence[Scores]
    trace: Trace

    def weights(self) -> list[float]:
        """Share of every step in the mean over the run: by tokens, the first step and missing ones left out."""
        counts = [
            0 if k == 0 or row is None else h * w
            for k, (row, (h, w)) in enumerate(zip(self.rows, self.trace.grids, strict=True))
        ]
        return [count / max(sum(counts), 1) for count in counts]


@dataclass(frozen=True)
class Panel:
    """One overlay to be: an image (H, W, 3), a map (h, w) or None, and what is written above."""

    image: Tensor
    values: Tensor | None
    lines: tuple[str, str]


def draw_maps(
    trace: Trace,
    images: Tensor,
    name: str,
    style: MapStyle,
    combined: bool = False,
    subject: Tensor | None = None,
) -> Tensor:
    """Overlays as IMAGE: image by image, and of each image scale by scale unless combined.

    Args:
        trace: what was recorded.
        images: the images of the run (B, H, W, 3).
        name: of the map.
        style: how to draw.
        combined: one overlay per image.
        subject: True where the subject is, (1 or B, H, W); without it no divergence is written.

    Raises:
        ValueError: the run did not record such a map.

    A token-by-token run has one overlay per image, either way.
    """
    panels = panels_of(trace, images, name, style, combined, subject)
    limits = limits_of([panel.values for panel in panels]) if style.shared else None
    lines = [line for panel in panels for line in panel.lines]  # one size of letters for all
    return from_pil([draw(panel, style, lines, limits) for panel in panels])


def panels_of(
    trace: Trace,
    images: Tensor,
    name: str,
    style: MapStyle,
    combined: bool = False,
    subject: Tensor | None = None,
) -> list[Panel]:
    """What `draw_maps` draws."""
    make = _combined if combined and trace.image_grid is None else _per_scale
    trace = trace.whole()
    rows = recorded(trace, name)
    # Shares for what is no nudge: a softmax of probabilities would hardly tell them apart.
    pushed = name in ("nudge", "added") or name.endswith(DIRECTION)
    vocabulary = vocabulary_of(trace, style.spread if pushed else SHARE)
    behind = None if subject is None else backgrounds(trace, subject)
    panels: list[Panel] = []
    for place, image in enumerate(images):
        own = [None if m is None else m[place] for m in rows]
        hidden = [b[place % len(b)] for b in behind] if behind else [None] * len(own)
        scores = [_scores(m, b, vocabulary, style.seed) for m, b in zip(own, hidden, strict=True)]
        panels += make(Drawn(name, image, own, scores, trace))
    return panels


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


def step_name(trace: Trace, step: int) -> str:
    """What a step is called: a scale, or a step from a noise level."""
    count = len(trace.grids)
    if trace.noise:
        return f"step {step + 1} of {count}, noise {number(trace.noise[step])}"
    return f"scale {step + 1} of {count}"


def _scores(
    values: Tensor | None, background: Tensor | None, vocabulary: int | None, seed: int
) -> Scores:
    """Evenness and divergence of a map (h, w) with this background (h w); no divergence where all or nothing is."""
    if values is None:
        return Scores()
    flat, apart = values.flatten(), None
    if background is not None and background.any() and not background.all():
        apart = divergence(flat, background_picks(background, seed), vocabulary)
    return Scores(evenness(flat, vocabulary), apart)


def _per_scale(drawn: Drawn) -> list[Panel]:
    panels, count = [], len(drawn.rows)
    weights = drawn.weights()
    for step, (values, (h, w)) in enumerate(zip(drawn.rows, drawn.trace.grids, strict=True)):
        top = f"{h}x{w} tokens"
        if count > 1:
            top = f"{step_name(drawn.trace, step)}, {top}, weight {weights[step]:.0%}"
        below = "off" if values is None else drawn.scores[step].text()
        panels.append(Panel(drawn.image, values, (f"{drawn.name}: {top}", below)))
    return panels


def _combined(drawn: Drawn) -> list[Panel]:
    size = (drawn.image.shape[0], drawn.image.shape[1])
    counts = [h * w for h, w in drawn.trace.grids]
    mean = weighted_mean([None if m is None else enlarge(m, size) for m in drawn.rows], counts)
    scores = Scores(
        weighted_mean([s.evenness for s in drawn.scores], counts),
        weighted_mean([s.divergence for s in drawn.scores], counts),
    )
    below = "off" if scores.evenness is None else scores.text()
    every = "all steps" if drawn.trace.noise else "all scales"
    return [Panel(drawn.image, mean, (f"{drawn.name}: {every}", below))]


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


def draw(
    panel: Panel, style: MapStyle, lines: Sequence[str], limits: Limits | None = None
) -> Image.Image:
    """The finished panel: two lines of text, the overlay, the colour bar. `lines`: of all panels that must be of one size."""
    image, values = panel.image, panel.values
    limits = limits or limits_of([values])
    blended = image if values is None else overlay(image, values, limits, style)
    body = to_pil(blended)
    factor = max(1, -(-MIN_WIDTH // body.width))
    body = body.resize((body.width * factor, body.height * factor), Image.Resampling.NEAREST)
    size = fitting_size(list(lines), body.width - 2 * MARGIN, max(15, body.width // 36))
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
