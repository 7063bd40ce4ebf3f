"""All steps of a run on one sheet per image, as Fig. 7 of arXiv 2509.23876 shows them, with the guidance interval marked.

A step at which guidance acted has a coloured frame; one outside the interval is grey and says "off".
"""

from collections.abc import Sequence

import torch
from PIL import Image, ImageOps
from torch import Tensor

from ..guidance.record import Trace
from .canvas import FAINT, Colour, from_pil, number, to_pil
from .grid import Sheet, draw_sheet
from .maps import Limits, MapStyle, enlarge, limits_of, overlay, recorded

TILE = 160  # pixels of a tile's longer side
FRAME = 4
ON: Colour = (230, 159, 0)
COLUMNS = 8


def draw_sheets(trace: Trace, images: Tensor, name: str, style: MapStyle) -> Tensor:
    """One sheet for each image, as IMAGE.

    Args:
        trace: what was recorded.
        images: the images of the run (B, H, W, 3).
        name: of the map.
        style: how to draw.

    Raises:
        ValueError: the run did not record such a map.
    """
    trace = trace.whole()
    rows = recorded(trace, name)
    shared = limits_of(rows) if style.shared else None
    sheets = []
    for row, image in enumerate(images):
        values = [None if m is None else m[row] for m in rows]
        tiles = [tile(image, one, style, shared) for one in values]
        sheets.append(draw_sheet(sheet(trace, name, tiles, [v is not None for v in values])))
    return from_pil(sheets)


def sheet(trace: Trace, name: str, tiles: Sequence[Image.Image], on: Sequence[bool]) -> Sheet:
    """Where each step's tile goes, and what is written."""
    captions = [caption(trace, step) + ("" if acted else ": off") for step, acted in enumerate(on)]
    starts = range(0, len(tiles), COLUMNS)
    return Sheet(
        [tiles[start : start + COLUMNS] for start in starts],
        captions=[captions[start : start + COLUMNS] for start in starts],
        title=f"{name}: {interval(on)}",
    )


def caption(trace: Trace, step: int) -> str:
    """A step's number, and its noise level or its size in tokens."""
    if trace.noise:
        return f"{step + 1}, noise {number(trace.noise[step])}"
    height, width = trace.grids[step]
    return f"{step + 1}, {height}x{width}"


def interval(on: Sequence[bool]) -> str:
    """At which steps something acted, in words."""
    acted = [step + 1 for step, one in enumerate(on) if one]
    if len(acted) == len(on):
        return f"at all {len(on)} steps"
    whole = acted == list(range(acted[0], acted[-1] + 1))
    between = f"{acted[0]} to {acted[-1]}" if whole else f"{len(acted)}"
    return f"at steps {between} of {len(on)}" if whole else f"at {between} of {len(on)} steps"


def tile(
    image: Tensor, values: Tensor | None, style: MapStyle, shared: Limits | None
) -> Image.Image:
    """One step: the image (H, W, 3) under its map with a frame, or in grey where there is none."""
    small = fitted(image)
    if values is None:
        grey = small.mean(-1, keepdim=True).expand_as(small) * 0.5 + 0.5
        return ImageOps.expand(to_pil(grey), FRAME, FAINT)
    blended = overlay(small, values, shared or limits_of([values]), style)
    return ImageOps.expand(to_pil(blended), FRAME, ON)


def fitted(image: Tensor) -> Tensor:
    """An image (H, W, 3) whose longer side has `TILE` pixels: small ones enlarged by whole pixels as far as they go."""
    height, width = image.shape[:2]
    scale = TILE / max(height, width)
    size = max(1, round(height * scale)), max(1, round(width * scale))
    plain = image.float().cpu()
    if scale >= 1:
        return torch.stack([enlarge(channel, size) for channel in plain.unbind(-1)], -1)
    shrunk = torch.nn.functional.interpolate(
        plain.movedim(-1, 0)[None], size=size, mode="bilinear", antialias=True
    )
    return shrunk[0].movedim(0, -1).clamp(0, 1)
