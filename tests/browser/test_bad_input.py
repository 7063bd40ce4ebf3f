"""What panels say of images, seeds and runs that are not what they were: a sentence, and nothing in the console."""

from __future__ import annotations

import json

import pytest
from ar_guidance.tests.browser.comfy_page import ComfyPage
from ar_guidance.tests.browser.test_panels import SET_WIDGET, inputs
from ar_guidance.tests.browser.test_viewer import SEND, empty, finished, live
from ar_guidance.tests.hosts.examples import example

pytestmark = pytest.mark.browser
STORE = "(entries) => localStorage.setItem('ARGuidance.seeds', entries)"
BROKEN = "data:image/png;base64,AAAA"
# Every id becomes another, as when the graph is pasted or put into a subgraph.
RENUMBERED = """() => {
  const graph = JSON.parse(JSON.stringify(window.app.graph.serialize()));
  for (const node of graph.nodes) node.id += 100;
  for (const link of graph.links) { link[1] += 100; link[3] += 100; }
  graph.last_node_id += 100;
  return graph; }"""


def own_problems(screen: ComfyPage) -> list[str]:
    """Errors in the console that are the pack's."""
    return [problem for problem in screen.problems if ".mjs" in problem or "ar_guidance" in problem]


def test_seeds_of_another_model_and_lost_thumbnails(comfy_page: ComfyPage) -> None:
    page = comfy_page.page
    entry = {"seed": "41", "name": "dog", "url": BROKEN, "model": "other.safetensors"}
    page.evaluate(STORE, json.dumps([entry, {**entry, "seed": "1e99"}]))
    comfy_page.load(example("01 First image - no download")[1])
    assert comfy_page.queue()["kind"] == "execution_success"
    page.locator(".arg-shot").first.wait_for()
    page.get_by_text("earlier seeds…").click()
    lost = page.locator(".arg-seeds .arg-shot", has_text="seed 41")
    lost.get_by_text("image is gone").wait_for()
    assert "of another model: other.safetensors" in lost.inner_text()
    assert page.locator(".arg-seeds .arg-shot", has_text="1e99").count() == 0
    lost.click()
    assert inputs(comfy_page, "ARSampler")["seed"] == 41  # it is a seed all the same
    assert own_problems(comfy_page) == []


def test_a_run_of_another_version(comfy_page: ComfyPage) -> None:
    page = comfy_page.page
    (node,) = empty(comfy_page, "ARDecode")
    for runs in ([{"pictures": [{"final": "x"}]}], [{"version": 9}], [None], "text", [7]):
        sent = finished(node, 64, 64) | {"output": {"ar_viewer": runs}}
        page.evaluate(SEND, ["executed", sent])
        page.get_by_text("The images of this run cannot be shown here").wait_for()
        page.evaluate(SEND, ["ar_guidance.status", {"node": str(node), "step": 1, "count": 2}])
    page.evaluate(SEND, ["executed", finished(node, 64, 64)])
    page.locator(".arg-shot").first.wait_for()
    assert own_problems(comfy_page) == []


def test_nodes_whose_ids_have_changed(screen: ComfyPage) -> None:
    page = screen.page
    prompt, workflow = example("01 First image - no download")
    (old,) = [int(key) for key, node in prompt.items() if node["class_type"] == "ARDecode"]
    screen.load(workflow)
    page.evaluate(SET_WIDGET, ["ARSampler", "seed", 23])
    assert screen.queue()["kind"] == "execution_success"
    page.locator(".arg-shot").first.wait_for()
    screen.load(page.evaluate(RENUMBERED))
    page.get_by_text("Run: the images appear here.").wait_for()
    for event, detail in (
        ("executed", finished(old, 64, 64)),
        ("ar_guidance.step", live(old, (2, 2))),
        ("ar_guidance.status", {"node": f"{old}:7", "step": 1, "count": 2}),
        ("execution_error", {"node_id": "gone", "exception_message": "no"}),
        ("execution_cached", {"nodes": [str(old), "7:8"]}),
    ):
        page.evaluate(SEND, [event, detail])
    page.wait_for_timeout(700)
    assert page.get_by_text("Run: the images appear here.").is_visible()
    assert screen.queue()["kind"] == "execution_success"
    page.locator(".arg-shot").first.wait_for()
    assert own_problems(screen) == []
