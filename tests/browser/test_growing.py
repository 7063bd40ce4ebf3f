"""No run makes a node taller: not its images, maps, candidates, previews, errors, nor what a condition node says."""

from __future__ import annotations

import zlib

import pytest
from ar_guidance.tests.browser.comfy_page import ComfyPage
from ar_guidance.tests.browser.layout import BOXES, overlapping
from ar_guidance.tests.browser.test_panels import SET_WIDGET
from ar_guidance.tests.browser.test_viewer import SEND, live, look_inside
from ar_guidance.tests.hosts.examples import example

pytestmark = pytest.mark.browser
# The host's preview of a node, which the frontend tells of twice.
PREVIEW = """async (id) => {
  const canvas = Object.assign(document.createElement('canvas'), { width: 64, height: 96 });
  canvas.getContext('2d').fillRect(0, 0, 64, 96);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve));
  const detail = { blob, nodeId: id, displayNodeId: id, parentNodeId: id, realNodeId: id, promptId: 'x' };
  const { api } = window.comfyAPI.api;
  api.dispatchEvent(new CustomEvent('b_preview_with_metadata', { detail }));
  api.dispatchEvent(new CustomEvent('b_preview', { detail: blob })); }"""
RESOLVED = ".arg-resolved:visible"


def unchanged(screen: ComfyPage, before: list[list]) -> None:
    """Every node of the pack is where it was and as tall; none covers another."""
    screen.page.wait_for_timeout(700)  # until panels and the host's own text would have grown
    boxes = screen.page.evaluate(BOXES)
    earlier = ours(before)
    assert {name: pytest.approx(box, abs=2) for name, box in ours(boxes).items()} == earlier
    assert overlapping(boxes) == []


def ours(boxes: list[list]) -> dict[str, list[float]]:
    """The pack's nodes: a click brings one to the end of the list, and the host's SaveImage grows with its image."""
    return {box[0]: box[1:] for box in boxes if " AR" in box[0]}


def test_no_run_makes_a_node_taller(screen: ComfyPage, request: pytest.FixtureRequest) -> None:
    page = screen.page
    prompt, workflow = example("01 First image - no download")
    screen.load(workflow)
    (decode,) = [key for key, node in prompt.items() if node["class_type"] == "ARDecode"]
    page.get_by_text("Run: the images appear here.").wait_for()
    page.wait_for_timeout(700)
    assert page.locator(RESOLVED).count() == 0  # there is nothing to choose
    before = page.evaluate(BOXES)
    assert overlapping(before) == []
    page.evaluate(SET_WIDGET, ["ARDecode", "candidates", True])
    page.evaluate(SEND, ["ar_guidance.step", live(int(decode), (3, 6))])
    page.evaluate(PREVIEW, decode)
    unchanged(screen, before)
    assert screen.queue()["kind"] == "execution_success"
    page.locator(".arg-shot").first.wait_for()
    unchanged(screen, before)
    look_inside(screen)
    page.locator(".arg-stage").hover()
    page.locator(".arg-candidate").first.wait_for()
    unchanged(screen, before)
    screen.screenshot(f"candidates-{request.node.callspec.id.replace(' ', '-')}")
    error = {"node_id": decode, "exception_message": "no such size\n" * 20}
    page.evaluate(
        SEND, ["execution_error", error]
    )  # the frontend's own dialog may cover the page from here on
    unchanged(screen, before)


def test_what_was_chosen_has_its_line(screen: ComfyPage, request: pytest.FixtureRequest) -> None:
    page = screen.page
    if request.node.callspec.id == "1.32.9 nodes 2.0":
        pytest.skip("this frontend's Nodes 2.0 never shows a widget that was hidden")
    screen.load(example("01 First image - no download")[1])
    page.evaluate(SET_WIDGET, ["ARClassCondition", "classes", "{heart|heart}"])
    fresh = zlib.crc32(request.node.callspec.id.encode())  # what the host has cached says nothing
    page.evaluate(SET_WIDGET, ["ARClassCondition", "wildcard_seed", fresh])
    page.locator(RESOLVED, has_text="Run: what was chosen appears here.").wait_for()
    page.wait_for_timeout(700)
    before = page.evaluate(BOXES)
    assert screen.queue()["kind"] == "execution_success"
    page.locator(RESOLVED, has_text="heart").wait_for()
    boxes = page.evaluate(BOXES)
    assert [box[1:] for box in boxes] == [pytest.approx(box[1:], abs=2) for box in before]
    screen.screenshot(f"resolved-{request.node.callspec.id.replace(' ', '-')}")
    page.evaluate(SET_WIDGET, ["ARClassCondition", "classes", "heart"])
    page.locator(RESOLVED).wait_for(state="detached")
    assert not [problem for problem in screen.problems if ".mjs" in problem]
