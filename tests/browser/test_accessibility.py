"""axe-core finds nothing serious in the pack's panels, in every state they have; what can be clicked has a key."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from ar_guidance.tests.browser.comfy_page import ComfyPage
from ar_guidance.tests.browser.test_copies import INTO_SUBGRAPH
from ar_guidance.tests.browser.test_search import MESSAGE, TRIED
from ar_guidance.tests.browser.test_viewer import SEND, empty, finished, look_inside

pytestmark = pytest.mark.browser
KINDS = ("ARGuidanceCFG", "ARClassCondition", "ARFindScale", "ARCompare", "ARDecode")
# On the canvas axe sees no background: the panels get that of their nodes, which is otherwise painted beneath them.
PAINT = """() => {
  const colour = document.querySelector('[data-node-id] .arg-home') ? '' : window.LiteGraph.NODE_DEFAULT_BGCOLOR;
  if (colour) for (const home of document.querySelectorAll('.arg-home')) home.style.background = colour; }"""
AXE = """async (roots) => {
  const include = roots.filter((root) => document.querySelector(root)).map((root) => [root]);
  const found = await window.axe.run({ include }, { resultTypes: ['violations'] });
  return found.violations.map(({ id, impact, nodes }) => [id, impact, nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`)]); }"""
NAMELESS = """() => [...document.querySelectorAll('.arg-viewer')].find((panel) => panel.getClientRects().length)
  .append(document.createElement('button'))"""
REMOVED = "() => document.querySelector('.arg-viewer > button:last-child').remove()"


def axe_source() -> str:
    """axe-core as the test pins bring it."""
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        pytest.skip("axe-playwright-python is not installed")
    return (Path(found.origin).parent / "axe.min.js").read_text("utf-8")


def violations(screen: ComfyPage, *roots: str) -> list:
    """What axe calls serious or critical within these parts of the page."""
    screen.page.evaluate(PAINT)
    if not screen.page.evaluate("() => Boolean(window.axe)"):
        screen.page.evaluate(axe_source())
    found = screen.page.evaluate(AXE, list(roots))
    return [entry for entry in found if entry[1] in ("serious", "critical")]


def test_axe_finds_nothing_serious(screen: ComfyPage) -> None:
    page = screen.page
    panels = (".arg-viewer", ".arg-panel", ".arg-one-line")
    cfg, condition, search, compare, decode = empty(screen, *KINDS)
    page.locator(".arg-point[role=slider]").first.wait_for()
    assert violations(screen, *panels) == []
    answer = {"scale": 8.07, "message": MESSAGE, "tried": TRIED}
    page.evaluate(
        SEND, ["executed", finished(search, 64, 64) | {"output": {"ar_answer": [answer]}}]
    )
    page.evaluate(SEND, ["executed", finished(compare, 64, 64) | {"output": compared(decode)}])
    page.evaluate(SEND, ["executed", finished(decode, 64, 64)])
    page.locator(".arg-shot").first.wait_for()
    page.evaluate(NAMELESS)
    assert "button-name" in [entry[0] for entry in violations(screen, *panels)]  # it does look
    page.evaluate(REMOVED)
    assert violations(screen, *panels) == []
    look_inside(screen)
    page.locator(".arg-open").dispatch_event("click")  # another node may lie over it
    page.locator(".arg-class").first.wait_for()
    page.get_by_text("earlier seeds…").dispatch_event("click")
    assert violations(screen, ".arg-dialog") == []
    page.keyboard.press("Escape")
    page.locator(".arg-dialog").wait_for(state="detached")
    error = {"node_id": str(decode), "exception_message": "nearest is 64 x 64"}
    page.evaluate(SEND, ["execution_error", error])
    assert violations(screen, *panels) == []


PATH = """(id) => {
  const node = window.app.graph.getNodeById(id);
  return [id, node.subgraph.nodes[0].id].join(':'); }"""


def in_a_subgraph(screen: ComfyPage) -> str:
    """Nothing but an AR Decode in a subgraph, whose node shows its viewer; the AR Decode's id in a run."""
    empty(screen, "ARDecode")
    decode = screen.page.evaluate(PATH, screen.page.evaluate(INTO_SUBGRAPH, ["ARDecode"]))
    screen.page.locator(".arg-viewer:visible").wait_for()
    return decode


def test_axe_finds_nothing_serious_on_a_subgraphs_node(screen: ComfyPage) -> None:
    page, decode = screen.page, in_a_subgraph(screen)
    assert violations(screen, ".arg-viewer") == []
    page.evaluate(SEND, ["executed", finished(decode, 64, 64)])
    page.locator(".arg-shot:visible").first.wait_for()
    assert violations(screen, ".arg-viewer") == []
    page.locator(".arg-look:visible").click()
    page.locator(".arg-inside:visible").wait_for()
    error = {"node_id": decode, "exception_message": "nearest is 64 x 64"}
    page.evaluate(SEND, ["execution_error", error])
    page.locator(".arg-wrong:visible").wait_for()
    assert violations(screen, ".arg-viewer") == []
    page.evaluate(NAMELESS)
    assert "button-name" in [entry[0] for entry in violations(screen, ".arg-viewer")]


def compared(decode: int) -> dict:
    """What AR Compare sends, with images of another payload."""
    (run,) = finished(decode, 64, 64)["output"]["ar_viewer"]
    images = [[picture["final"] for picture in run["pictures"]]] * 2
    rows = [f"image {at + 1}" for at in range(len(images[0]))]
    sent = {"columns": ["CFG 4", "no guidance"], "rows": rows, "images": images, "left_out": 3}
    return {"ar_compare": [sent]}
