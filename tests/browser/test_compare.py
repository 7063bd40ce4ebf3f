"""AR Compare's panel: the images of two runs over each other, a line between them, and what it keeps."""

from __future__ import annotations

import pytest
from ar_guidance.tests.browser.comfy_page import ComfyPage
from ar_guidance.tests.browser.test_keeping import COMMAND
from ar_guidance.tests.hosts.examples import first_workflow

pytestmark = pytest.mark.browser
CLIPPED = "(image) => image.style.clipPath"
# The first workflow, whose sampler and CFG are compared instead of decoded.
COMPARE = """() => {
  const graph = window.app.graph;
  const named = (type) => graph.nodes.find((node) => node.comfyClass === type);
  const place = [...named('ARDecode').pos];
  for (const node of [...graph.nodes].filter(({ comfyClass }) => /^(ARDecode|SaveImage|PreviewImage|MarkdownNote)$/.test(comfyClass)))
    graph.remove(node);
  const compare = window.LiteGraph.createNode('ARCompare');
  compare.pos = place;
  graph.add(compare);
  const slot = (name) => compare.inputs.findIndex((input) => input.name === name);
  named('ARSampler').connect(0, compare, slot('run_1'));
  named('ARGuidanceCFG').connect(0, compare, slot('run_2'));
  window.app.extensionManager.command.execute('Comfy.Canvas.FitView'); }"""


def test_two_runs_under_a_slider(screen: ComfyPage, request: pytest.FixtureRequest) -> None:
    page = screen.page
    screen.load(first_workflow())
    page.evaluate(COMPARE)
    page.get_by_text("Run: the images appear here, one over the other.").wait_for()
    assert screen.queue()["kind"] == "execution_success"
    panel = page.locator(".arg-comparing")
    left, right = panel.get_by_label("left", exact=True), panel.get_by_label("right", exact=True)
    left.wait_for()
    names = left.locator("option").all_inner_texts()
    assert names == ["no guidance", "CFG 4"] == right.locator("option").all_inner_texts()
    before, after = page.locator(".arg-frame").first, page.locator(".arg-after")
    first, second = before.get_attribute("src"), after.get_attribute("src")
    assert first and second and first != second
    slider = page.get_by_label("line between left and right")
    slider.focus()
    for key, place in (("Home", 0), ("End", 100), ("ArrowLeft", 99)):
        page.keyboard.press(key)
        assert after.evaluate(CLIPPED) == f"inset(0px 0px 0px {place}%)"
    row = page.locator(".arg-viewer").get_by_label("image", exact=True)
    row.select_option(index=1)
    assert before.get_attribute("src") != first and "seed" in (before.get_attribute("alt") or "")
    page.locator(".arg-stage").hover()  # its middle
    assert abs(float(slider.input_value()) - 50) <= 1
    screen.screenshot(f"compare-{request.node.callspec.id.replace(' ', '-')}")
    page.locator(".arg-stage").focus()
    page.keyboard.press("Enter")
    page.locator(".arg-full").wait_for()
    page.keyboard.press("Escape")
    right.select_option(index=0)
    assert before.get_attribute("src") == after.get_attribute("src")
    another_tab_and_back(screen)
    assert [right.input_value(), row.input_value()] == ["0", "1"]
    assert not [problem for problem in screen.problems if ".mjs" in problem]


def another_tab_and_back(screen: ComfyPage) -> None:
    """What a tab of the frontend showed is there again."""
    screen.page.evaluate(COMMAND, "Comfy.NewBlankWorkflow")
    screen.page.locator(".arg-viewer").wait_for(state="detached")
    screen.page.evaluate(COMMAND, "Workspace.PreviousOpenedWorkflow")
    screen.page.locator(".arg-after").wait_for()
