"""Take the screenshots of the README and the tutorial from a running ComfyUI with a current frontend.

python -m tools.screenshots http://127.0.0.1:8188      # writes docs/images/graph.png and tutorial-*.png
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

WINDOW = {"width": 1700, "height": 1000}
PLAIN = ("Comfy.Minimap.Visible", "Comfy.Graph.CanvasInfo", "Comfy.Graph.CanvasMenu")
MOST_BYTES = 150_000
TEXT_FROM = "LiteGraph.Canvas.MinFontSizeForLOD"  # 0: text is drawn however small
MARGIN = 50  # around the nodes, for their groups
CLEAR = "() => { for (const toast of document.querySelectorAll('.p-toast')) toast.style.display = 'none'; }"
SET = """([type, name, value]) => {
  const node = window.app.graph.nodes.find((node) => node.comfyClass === type);
  const widget = node.widgets.find((widget) => widget.name === name);
  widget.value = value; widget.callback?.(value); }"""
WIDER = """() => {
  const node = window.app.graph.nodes.find((node) => node.comfyClass === 'ARDecode');
  node.setSize([340, node.size[1]]); }"""
SHOW = """([ids, margin]) => {
  const nodes = window.app.graph.nodes.filter((node) => !ids.length || ids.includes(Number(node.id)));
  const left = Math.min(...nodes.map((n) => n.pos[0])) - margin, top = Math.min(...nodes.map((n) => n.pos[1])) - 40 - margin;
  const right = Math.max(...nodes.map((n) => n.pos[0] + n.size[0])) + margin;
  const bottom = Math.max(...nodes.map((n) => n.pos[1] + n.size[1])) + margin;
  const view = window.app.canvas.ds, wide = window.innerWidth - 70, tall = window.innerHeight - 110;
  view.scale = Math.min(wide / (right - left), tall / (bottom - top), 1.25);
  view.offset = [65 / view.scale - left, 100 / view.scale - top];
  window.app.graph.setDirtyCanvas(true, true);
  return [65, 100, (right - left) * view.scale, (bottom - top) * view.scale]; }"""


def main(url: str) -> None:
    """Walk through the tutorial."""

    from ar_guidance.tests.browser.comfy_page import ComfyPage
    from ar_guidance.tests.browser.conftest import FLAGS
    from playwright.sync_api import sync_playwright

    settings = dict.fromkeys(PLAIN, False) | {"Comfy.TutorialCompleted": True, TEXT_FROM: 0}
    HostClient(url).request("/settings", {**settings, "Comfy.VueNodes.Enabled": False})
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        page = ComfyPage(browser.new_page(viewport=WINDOW), Path())
        page.open(url)
        first_picture(page)
        for name, stem, nodes in (
            ("sweep", "24 Sweep on a grid", []),
            ("variation", "20 Variations of an image", [7, 8, 9, 10, 11, 12]),
            ("in-paint", "21 In-paint", [9, 10, 11, 12, 13, 14, 15]),
        ):
            run(page, stem)
            keep(page, f"tutorial-{name}", nodes)
        browser.close()


def first_picture(page: Any) -> None:
    """The first workflow: as it is, a scale on the way, and another schedule."""
    run(page, "01 First image - no download", candidates=True)
    keep(page, "graph")
    keep(page, "tutorial-first-picture")
    page.page.evaluate(WIDER)
    page.page.evaluate(SHOW, [[5], 24])
    page.page.wait_for_timeout(500)
    page.page.locator(".arg-look").click()
    slider = page.page.locator(".arg-slider")
    slider.evaluate("(slider) => { slider.value = 3; slider.dispatchEvent(new Event('input')); }")
    page.page.locator(".arg-stage").hover()
    keep(page, "tutorial-viewer", [5])
    for step, by in ((2, 30), (3, 42), (6, -55)):
        drag(page.page, step, by)
    keep(page, "tutorial-schedule", [4])


def run(page: Any, stem: str, candidates: bool = False) -> None:
    """Open a workflow and run it."""
    from ar_guidance.tests.hosts.examples import example

    page.load(example(stem)[1])
    if candidates:
        page.page.evaluate(SET, ["ARDecode", "candidates", True])
    assert page.queue()["kind"] == "execution_success"
    page.page.wait_for_timeout(6000)  # until the notices are gone


def drag(page: Any, step: int, by: float) -> None:
    """Drag a point of the schedule upwards."""
    page.evaluate(SHOW, [[4], 60])
    page.wait_for_timeout(300)
    box = page.locator(".arg-point").nth(step).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y), page.mouse.down(), page.mouse.move(x, y - by, steps=4), page.mouse.up()


def keep(page: Any, name: str, nodes: list[int] | None = None) -> None:
    """Save what those nodes look like, or all of them."""
    x, y, width, height = page.page.evaluate(SHOW, [nodes or [], MARGIN])
    page.page.evaluate(CLEAR)
    page.page.wait_for_timeout(700)
    most = {
        "width": WINDOW["width"] - 65,
        "height": WINDOW["height"] - 102,
    }  # beside the frontend's bars
    clip = {
        "x": x,
        "y": y,
        "width": min(width, most["width"]),
        "height": min(height, most["height"]),
    }
    shot = Image.open(io.BytesIO(page.page.screenshot(clip=clip))).convert("RGB")
    path = ROOT / "docs" / "images" / f"{name}.png"
    shot.save(path, optimize=True)
    if path.stat().st_size > MOST_BYTES:
        shot.quantize(256, method=Image.Quantize.FASTOCTREE).save(path, optimize=True)
    print(f"{path.name}: {shot.width}×{shot.height}, {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main(sys.argv[1])
