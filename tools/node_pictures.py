"""Take the images of single nodes that the help pages show, from a running ComfyUI with a current frontend.

python -m tools.node_pictures http://127.0.0.1:8188 [ARSampler ...]      # writes web/docs/images/node-<id>.png and names them in the pages

The pages of the guidance nodes show what the guidance does instead (`tools/help_pictures.py`).
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from .dev.chromium import find_chromium
from .dev.host_client import HostClient
from .pack import ROOT

PAGES = ROOT / "web" / "docs"
MARGIN, TITLE = 12, 30
PLAIN = ("Comfy.Minimap.Visible", "Comfy.Graph.CanvasInfo", "Comfy.Graph.CanvasMenu")
SHOW = """([id, margin, title]) => {
  window.app.graph.clear();
  const node = window.LiteGraph.createNode(id);
  node.pos = [0, 0];
  window.app.graph.add(node);
  node.setSize([Math.max(node.size[0], 300), node.computeSize()[1] + 10]);
  const view = window.app.canvas.ds;
  view.scale = 1;
  view.offset = [120, 160];
  window.app.graph.setDirtyCanvas(true, true);
  return { x: 120 - margin, y: 160 - title - margin, width: node.size[0] + 2 * margin,
           height: node.size[1] + title + 2 * margin }; }"""


def main(url: str, *only: str) -> None:
    """An image for every help page that shows its node so or shows nothing, or for some nodes only."""

    from ar_guidance.tests.browser.comfy_page import ComfyPage
    from ar_guidance.tests.browser.conftest import FLAGS
    from playwright.sync_api import sync_playwright

    settings = dict.fromkeys(PLAIN, False) | {"Comfy.TutorialCompleted": True}
    HostClient(url).request("/settings", {**settings, "Comfy.VueNodes.Enabled": False})
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        page = ComfyPage(browser.new_page(viewport={"width": 1300, "height": 1100}), Path())
        page.open(url)
        for path in sorted(PAGES.glob("AR*.md")):
            if only and path.stem not in only:
                continue
            name = f"images/node-{path.stem}.png"
            text = path.read_text(encoding="utf-8")
            if name in text or "![" not in text:
                keep(page.page, path.stem, PAGES / name)
            if "![" not in text:
                path.write_text(with_picture(text, name), encoding="utf-8")
        browser.close()


def keep(page: Any, node: str, path: Path) -> None:
    """The node alone on the canvas, few colours."""
    box = page.evaluate(SHOW, [node, MARGIN, TITLE])
    page.wait_for_timeout(700)  # let the canvas draw
    shot = Image.open(io.BytesIO(page.screenshot(clip=box))).convert("RGB")
    shot.quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)


def with_picture(text: str, name: str) -> str:
    """The page with an image below its title."""
    title, rest = text.split("\n", 1)
    return f"{title}\n\n![The node]({name})\n{rest}"


if __name__ == "__main__":
    main(*sys.argv[1:])
