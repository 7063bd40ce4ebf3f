"""The viewer on a subgraph's node: the blueprint AR generate runs alone, with its images on the one node that is seen."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from ar_guidance.tests.browser.comfy_page import ComfyPage
from ar_guidance.tests.browser.test_copies import (
    ENTER,
    INTO_SUBGRAPH,
    LEAVE,
    LOOK_AT,
    own_problems,
    seen,
)
from ar_guidance.tests.browser.test_gallery import SET
from ar_guidance.tests.browser.test_panels import SET_WIDGET, inputs
from ar_guidance.tests.browser.test_viewer import SEND
from ar_guidance.tests.hosts.examples import example

pytestmark = pytest.mark.browser
BLUEPRINT = Path(__file__).resolve().parents[2] / "subgraphs" / "AR generate.json"
VALUE = "(name) => window.app.graph.nodes[0].widgets.find((widget) => widget.name === name).value"
BELOW = """() => {
  const tops = (kind) => [...document.querySelectorAll(kind)].filter((one) => one.getClientRects().length).map((one) => one.getBoundingClientRect().top);
  return Math.min(...tops('.arg-viewer')) > Math.max(...tops('textarea')); }"""
SERIALIZED = "() => JSON.parse(JSON.stringify(window.app.graph.serialize()))"

SIZES = """() => {
  const sizes = (graph) => graph.nodes.flatMap((node) => [[node.id, ...node.size.map(Math.round)], ...(node.subgraph ? sizes(node.subgraph) : [])]);
  const drawn = [...document.querySelectorAll('[data-node-id]')].map((node) => [node.dataset.nodeId, node.offsetWidth, node.offsetHeight]);
  return [...sizes(window.app.graph), ...drawn]; }"""
NEST = """() => {
  const { graph } = window.app;
  const node = graph.convertToSubgraph(new Set(graph.nodes.filter(({ subgraph }) => subgraph))).node;
  const inner = node.subgraph.nodes[0], decode = inner.subgraph.nodes.find(({ comfyClass }) => comfyClass === 'ARDecode');
  return [String(node.id), [node.id, inner.id, decode.id].join(':')]; }"""
# Of every viewer that is seen, from left to right: what its images are called, and its error.
SHOWN = """() => [...document.querySelectorAll('.arg-viewer')]
  .filter((panel) => panel.getClientRects().length)
  .sort((a, b) => a.getBoundingClientRect().x - b.getBoundingClientRect().x)
  .map((panel) => [[...panel.querySelectorAll('.arg-shot')].map((shot) => shot.textContent).join(), panel.querySelector('.arg-wrong')?.textContent ?? ''])"""
SEEDS = "() => window.app.graph.nodes.map((node) => node.widgets.find(({ name }) => name === 'seed')?.value)"


def open_blueprint(screen: ComfyPage) -> str:
    """AR generate alone; its id."""
    screen.load(json.loads(BLUEPRINT.read_text("utf-8")))
    screen.page.evaluate(LOOK_AT, [-400, 60, 0.8])
    screen.page.locator(".arg-viewer:visible").wait_for()
    return screen.page.evaluate("() => String(window.app.graph.nodes[0].id)")


def run(screen: ComfyPage) -> None:
    ended = screen.queue()
    assert ended["kind"] == "execution_success", ended


def saved(screen: ComfyPage) -> dict[str, Any]:
    """The graph as it is saved; the panel is no part of it."""
    graph = screen.page.evaluate(SERIALIZED)
    (node,) = graph["nodes"]
    assert "ar_viewer" not in json.dumps(node)
    return graph


def test_a_blueprint_shows_its_images(screen: ComfyPage, request: pytest.FixtureRequest) -> None:
    page = screen.page
    outer = open_blueprint(screen)
    run(screen)
    page.locator(".arg-shot:visible").nth(3).wait_for()  # two classes, two images of each
    assert page.evaluate(BELOW)
    first = seen(screen)
    assert page.locator(".arg-actions:visible button").all_inner_texts() == ["keep this seed"]
    screen.screenshot(f"outside-{request.node.callspec.id.replace(' ', '-')}")
    page.evaluate(SET, ["seed", 91])
    run(screen)
    page.locator(".arg-shot:visible", has_text="seed 91").first.wait_for()
    assert seen(screen) != first
    page.evaluate(SET, ["seed", 4])
    page.locator(".arg-actions:visible button").click()
    assert page.evaluate(VALUE, "seed") == 91
    graph, second = saved(screen), seen(screen)
    page.evaluate(ENTER, int(outer))
    page.locator(".arg-stage:visible").wait_for()  # AR Decode's own viewer
    page.evaluate(LEAVE)
    screen.reload()
    screen.load(graph)
    page.evaluate(LOOK_AT, [-400, 60, 0.8])
    page.locator(".arg-stage:visible").wait_for()
    assert seen(screen) == second
    assert own_problems(screen) == []


def test_it_says_what_went_wrong_inside(screen: ComfyPage) -> None:
    page = screen.page
    open_blueprint(screen)
    page.evaluate(SET, ["classes", "hearrt\nface"])
    assert screen.queue()["kind"] == "execution_error"
    wrong = page.locator(".arg-viewer .arg-wrong:visible")
    wrong.wait_for()
    page.keyboard.press("Escape")  # the frontend's own dialog
    wrong.get_by_text("heart", exact=True).dispatch_event("click")
    assert page.evaluate(VALUE, "classes") == "heart\nface"
    assert own_problems(screen) == []


def opened_again(screen: ComfyPage) -> list:
    """The graph saved and opened; the sizes of its nodes and of those in its subgraphs then."""
    graph = screen.page.evaluate(SERIALIZED)
    screen.load(graph)
    screen.page.wait_for_timeout(1000)  # panels have found their sizes
    return screen.page.evaluate(SIZES)


def test_saving_and_opening_changes_no_size(
    screen: ComfyPage, request: pytest.FixtureRequest
) -> None:
    page = screen.page
    if request.node.callspec.id == "1.32.9 nodes 2.0":
        pytest.skip("this frontend saves every node 30 pixels less tall than it opened it")
    open_blueprint(screen)
    page.wait_for_timeout(1000)
    before = page.evaluate(SIZES)
    assert opened_again(screen) == before
    run(screen)
    page.locator(".arg-shot:visible").first.wait_for()
    assert opened_again(screen) == before
    page.evaluate(NEST)
    page.wait_for_timeout(1000)
    before = opened_again(screen)
    assert opened_again(screen) == before
    assert own_problems(screen) == []


def test_a_subgraph_in_a_subgraph(screen: ComfyPage) -> None:
    """The outermost node shows images, errors and keeps seeds of an AR Decode two levels down; a sampler outside is found, too."""
    page = screen.page
    screen.load(example("01 First image - no download")[1])
    page.evaluate(INTO_SUBGRAPH, ["ARDecode", "ARGuidanceCFG"])
    page.evaluate(SET_WIDGET, ["ARSampler", "seed", 91])
    outer, deep = page.evaluate(NEST)
    page.locator(".arg-viewer:visible").wait_for()
    run(screen)
    page.locator(".arg-shot:visible", has_text="seed 91").first.wait_for()
    page.evaluate(SET_WIDGET, ["ARSampler", "seed", 4])
    page.locator(".arg-actions:visible button").dispatch_event("click")
    assert inputs(screen, "ARSampler")["seed"] == 91
    first = seen(screen)
    page.evaluate(ENTER, int(outer))
    page.locator(".arg-stage:visible").wait_for()  # the inner subgraph's node
    assert seen(screen) == first
    page.evaluate(LEAVE)
    page.evaluate(SEND, ["execution_error", {"node_id": deep, "exception_message": "no such size"}])
    page.locator(".arg-wrong:visible", has_text="no such size").wait_for()
    assert own_problems(screen) == []


def test_every_instance_shows_its_own(screen: ComfyPage, request: pytest.FixtureRequest) -> None:
    """Two nodes of one subgraph: each has the images, the errors and the seed of its own run."""
    page = screen.page
    graph = json.loads(BLUEPRINT.read_text("utf-8"))
    (node,) = graph["nodes"]
    twin = copy.deepcopy(node) | {"id": 7, "pos": [600, 100], "order": 1}
    node["widgets_values"][2], twin["widgets_values"][2] = 3, 9
    graph["nodes"].append(twin)
    graph["last_node_id"] = 7
    screen.load(graph)
    page.evaluate(LOOK_AT, [-100, 60, 0.8])
    page.locator(".arg-viewer:visible").nth(1).wait_for()
    run(screen)
    page.locator(".arg-shot:visible").nth(7).wait_for()
    own = f"() => [({SEEDS})().map((seed) => `seed ${{seed}}`), ({SHOWN})().map(([text]) => text)]"
    seeds, shown = page.evaluate(own)
    assert [seed in text for seed, text in zip(seeds, shown, strict=True)] == [True, True]
    if "1.32" not in request.node.callspec.id:  # there, all nodes of a subgraph share one value
        assert seeds == ["seed 3", "seed 9"]
    error = {"node_id": f"{twin['id']}:2", "exception_message": "no such class"}
    page.evaluate(SEND, ["execution_error", error])
    page.locator(".arg-wrong:visible").wait_for()
    assert [wrong for _, wrong in page.evaluate(SHOWN)] == ["", "no such class"]
    saved_graph = page.evaluate(SERIALIZED)
    screen.reload()
    screen.load(saved_graph)
    page.evaluate(LOOK_AT, [-100, 60, 0.8])
    page.locator(".arg-shot:visible").nth(7).wait_for()
    assert page.evaluate(own)[1] == shown
    assert own_problems(screen) == []
