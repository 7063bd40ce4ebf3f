"""Draw the thumbnails of the workflows, which ComfyUI's template browser shows.

python -m tools.thumbnails [STEM ...]      # writes workflows/<stem>.jpg, of all of them where none is named

A workflow that runs without downloads is run, and its thumbnail shows the images it saves. Of any other the
graph itself is drawn, because no image of a model that was not there can be shown. A ribbon says which of the two it is.
"""

from __future__ import annotations

import io
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

from ar_guidance.imaging.canvas import fitting_size, font, text_width
from PIL import Image, ImageColor, ImageDraw

from .dev.console import Problem
from .dev.host_client import HostClient
from .dev.host_process import start_host
from .dev.hosts import NEWEST
from .pack import ROOT

SIDE, GAP, MOST = 400, 6, 9
RIBBON = 28  # pixels tall
TITLE = 30  # pixels above a node's own position
COLOURS = {"canvas": "#202024", "edge": "#56565e", "wire": "#c8c8d0"}
NOTES = {"MarkdownNote", "Note"}
NEEDED = {  # gigabytes of files that a workflow needs, by its number: those its note names
    **{"05": 2.1, "07": 0.7, "08": 2.3, "09": 6.7, "10": 22.5, "11": 6.7, "12": 21.8, "13": 14.8},
    **{"14": 1.3, "15": 16.9, "18": 2.1, "26": 16.9, "27": 16.9, "28": 16.9, "29": 16.9},
    **{"30": 2.4, "34": 1.3, "35": 16.9, "36": 8.4},
}


def main(stems: list[str]) -> None:
    """Run what can be run, draw the others."""

    from ar_guidance.tests.hosts.examples import ALL_EXAMPLES, EXAMPLES, example

    wanted = stems or [path.stem for path in ALL_EXAMPLES]
    for stem in sorted(set(wanted) - set(EXAMPLES)):
        needed = NEEDED.get(stem.split()[0])
        text = f"needs {needed:g} GB of files" if needed else "needs model files"
        save(with_ribbon(drawn(example(stem)[1]), text, "#8a5a00"), stem)
    offline = [stem for stem in wanted if stem in EXAMPLES]
    if not offline:
        return
    with tempfile.TemporaryDirectory() as base:
        running = start_host(NEWEST, Path(base))
        try:
            for stem in offline:
                made = pictures(HostClient(running.url), *example(stem))
                save(with_ribbon(sheet(made), "no download", "#2e7d32"), stem)
        finally:
            running.stop()


def pictures(client: HostClient, prompt: dict[str, Any], workflow: dict[str, Any]) -> list[Any]:
    """What each node saves, in their order; previews are left out."""
    result = client.run(prompt, workflow)
    if result.status != "success":
        raise Problem(result.error or f"the run ended as '{result.status}'")
    saved: dict[str, list[Image.Image]] = {}
    for image in result.images:
        if image["type"] == "output":
            opened = Image.open(io.BytesIO(client.image(image))).convert("RGB")
            saved.setdefault(image["filename"].rsplit("_", 2)[0], []).append(opened)
    return list(saved.values())


def sheet(saved: list[list[Image.Image]]) -> Image.Image:
    """Pictures of one kind side by side: those of the commonest size, or the largest where all sizes differ.

    Where there are more than `MOST`, as many from each node.
    """
    sizes = [picture.size for pictures in saved for picture in pictures]
    size = max(sizes, key=lambda size: (sizes.count(size), size[0] * size[1]))
    alike = [[picture for picture in pictures if picture.size == size] for pictures in saved]
    alike = [pictures for pictures in alike if pictures]
    if sizes.count(size) > MOST:
        share = max(1, MOST // len(alike))
        alike = [pictures[:: math.ceil(len(pictures) / share)] for pictures in alike]
    chosen = [picture for pictures in alike for picture in pictures]
    columns = math.ceil(math.sqrt(len(chosen)))
    rows = math.ceil(len(chosen) / columns)
    width = (SIDE - GAP) // columns - GAP
    height = max(1, round(width * size[1] / size[0]))
    image = Image.new("RGB", (SIDE, rows * (height + GAP) + GAP), "white")
    for place, picture in enumerate(chosen):
        x, y = place % columns * (width + GAP) + GAP, place // columns * (height + GAP) + GAP
        image.paste(picture.resize((width, height), Image.Resampling.LANCZOS), (x, y))
    return image


def drawn(workflow: dict[str, Any]) -> Image.Image:
    """The graph, as boxes and wires in their colours; notes left out."""
    nodes = {node["id"]: node for node in workflow["nodes"] if node["type"] not in NOTES}
    left, top = (min(node["pos"][axis] for node in nodes.values()) - 60 for axis in (0, 1))
    right, bottom = (
        max(n["pos"][axis] + n["size"][axis] for n in nodes.values()) + 60 for axis in (0, 1)
    )
    scale = 2 * SIDE / (right - left)  # drawn twice as large, then scaled down: smooth edges
    image = Image.new("RGB", (2 * SIDE, round((bottom - top) * scale)), COLOURS["canvas"])
    brush = ImageDraw.Draw(image)

    def point(x: float, y: float) -> tuple[float, float]:
        return (x - left) * scale, (y - top) * scale

    for group in workflow["groups"]:
        x, y, width, height = group["bounding"]
        box = (*point(x, y), *point(x + width, y + height))
        brush.rectangle(box, mixed(group["color"], COLOURS["canvas"], 0.3), group["color"])
    for _, source, slot, target, entry, _ in workflow["links"]:
        a, b = nodes[source], nodes[target]
        start = point(a["pos"][0] + a["size"][0], a["pos"][1] + 12 + 20 * slot)
        end = point(b["pos"][0], b["pos"][1] + 12 + 20 * entry)
        brush.line(wire(start, end), fill=COLOURS["wire"], width=3, joint="curve")
    for node in nodes.values():
        (x, y), (width, height) = node["pos"], node["size"]
        box = (*point(x, y - TITLE), *point(x + width, y + height))
        brush.rounded_rectangle(box, 8, node["bgcolor"], COLOURS["edge"])
        brush.rectangle((*point(x + 12, y - 18), *point(x + width * 0.6, y - 10)), "#c8c8d0")
    return image.resize((SIDE, image.height // 2), Image.Resampling.LANCZOS)


def mixed(colour: str, ground: str, share: float) -> tuple[int, ...]:
    """A colour that lies over another and covers a share of it."""
    above, below = ImageColor.getrgb(colour), ImageColor.getrgb(ground)
    return tuple(round(a * share + b * (1 - share)) for a, b in zip(above, below, strict=True))


def wire(start: tuple[float, float], end: tuple[float, float]) -> list[tuple[float, float]]:
    """A line that leaves and arrives horizontally."""
    steps = [i / 24 for i in range(25)]
    return [
        (start[0] + (end[0] - start[0]) * t, start[1] + (end[1] - start[1]) * t * t * (3 - 2 * t))
        for t in steps
    ]


def with_ribbon(image: Image.Image, text: str, colour: str) -> Image.Image:
    """The thumbnail with a ribbon, in the lower left corner of the square that the template browser shows of it."""
    shown = image.copy()
    brush, (width, height) = ImageDraw.Draw(shown), shown.size
    bottom = (height + min(width, height)) // 2
    left, right = (width - min(width, height)) // 2, (width + min(width, height)) // 2
    size = fitting_size([text], right - left - 4 * GAP, RIBBON * 2 // 3)
    wide = text_width(text, size) + 2 * GAP
    brush.rounded_rectangle((left + 2, bottom - RIBBON, left + 2 + wide, bottom - 3), 6, colour)
    corner = left + 2 + GAP, bottom - RIBBON + (RIBBON - 3 - size) // 2 - 2
    brush.text(corner, text, fill="white", font=font(size))
    return shown


def save(image: Image.Image, stem: str) -> None:
    """Write the thumbnail."""
    image.save(ROOT / "workflows" / f"{stem}.jpg", quality=82, optimize=True)
    print(f"workflows/{stem}.jpg: {image.width}×{image.height}")


if __name__ == "__main__":
    main(sys.argv[1:])
