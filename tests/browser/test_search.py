"""AR Find Scale's panel: which scale is tried, the curves so far, and the answer."""

from __future__ import annotations

import pytest
from ar_guidance.tests.browser.comfy_page import ComfyPage
from ar_guidance.tests.browser.layout import BOXES
from ar_guidance.tests.browser.test_keeping import COMMAND
from ar_guidance.tests.browser.test_viewer import SEND
from ar_guidance.tests.hosts.examples import example

pytestmark = pytest.mark.browser
TRIED = [[1.01, 0.9, 0.2], [16.0, 0.3, 0.7], [4.0, 0.7, 0.4], [8.0, 0.52, 0.5]]
MESSAGE = "Within noise: drawing the images again moves the answer, 8.07, between 7.6 and 8.5. " * 4


def test_the_search_shows_what_it_has(screen: ComfyPage, request: pytest.FixtureRequest) -> None:
    page = screen.page
    prompt, workflow = example("04 Find the best scale")
    (node,) = (key for key, part in prompt.items() if part["class_type"] == "ARFindScale")
    screen.load(workflow)
    page.get_by_text("Run: the scales that are tried appear here.").wait_for()
    page.wait_for_timeout(700)
    before = page.evaluate(BOXES)
    far = {"node": str(node), "first": 1, "last": 6, "batch": 6, "step": 3, "count": 7}
    status = {**far, "seconds": 9, "scale": 8.0, "tried": TRIED[:3]}
    page.evaluate(SEND, ["ar_guidance.status", status])
    page.get_by_text("trying scale 8, images 1–6 of 6, step 3 of 7, about 9 s").wait_for()
    page.get_by_text("scales tried so far: 1.01, 16, 4").wait_for()
    assert page.locator(".arg-dot.arg-evenness").count() == 3
    lefts = [float(dot.get_attribute("cx") or 0) for dot in page.locator(".arg-dot").all()[:3]]
    assert lefts == sorted(lefts)  # in the order of the scales
    answer = {"scale": 8.07, "message": MESSAGE, "tried": TRIED}
    sent = {"node": str(node), "display_node": str(node), "output": {"ar_answer": [answer]}}
    page.evaluate(SEND, ["executed", sent])
    page.get_by_text("Within noise").wait_for()
    assert page.locator(".arg-dot.arg-divergence").count() == 4
    label = page.locator(".arg-search-plot").get_attribute("aria-label") or ""
    assert "scale 4: evenness 0.7, divergence 0.4" in label
    screen.screenshot(f"search-{request.node.callspec.id.replace(' ', '-')}")
    boxes = page.evaluate(BOXES)
    assert [box[1:] for box in boxes] == [pytest.approx(box[1:], abs=2) for box in before]
    page.evaluate(SEND, ["ar_guidance.status", {**status, "tried": []}])
    page.evaluate(SEND, ["execution_interrupted", {"node_id": str(node)}])
    page.get_by_text("Within noise").wait_for()  # the last answer counts again
    page.evaluate(COMMAND, "Comfy.NewBlankWorkflow")
    page.locator(".arg-searching").wait_for(state="detached")
    page.evaluate(COMMAND, "Workspace.PreviousOpenedWorkflow")
    page.get_by_text("Within noise").wait_for()
    assert not [problem for problem in screen.problems if ".mjs" in problem]
