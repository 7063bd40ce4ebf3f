"""Panels of nodes that are duplicated, and of nodes inside a subgraph."""

from __future__ import annotations

import re

import pytest
from ar_guidance.tests.browser.comfy_page import ComfyPage
from ar_guidance.tests.browser.test_keeping import run_first
from ar_guidance.tests.browser.test_panels import SET_WIDGET
from ar_guidance.tests.hosts.examples import example

pytestmark = pytest.mark.browser
AS_RUN = re.compile("7 steps, 1 → [0-9]+, as in the last run")
# As Ctrl+C, Ctrl+Shift+V: the copy has the same links; it is put beside it.
DUPLICATE = """(type) => {
  const { canvas, graph } = window.app;
  const node = graph.nodes.find(({ comfyClass }) => comfyClass === type);
  const known = new Set(graph.nodes);
  canvas.copyToClipboard([node]);
  canvas.pasteFromClipboard({ connectInputs: true });
  const copy = graph.nodes.find((one) => !known.has(one));
  copy.pos = [1130, 480];
  return copy.id; }"""
# At a zoom at which panels are shown.
LOOK_AT = """([x, y, scale]) => {
  const { ds } = window.app.canvas;
  ds.scale = scale;
  ds.offset = [-x, -y];
  window.app.canvas.setDirty(true, true); }"""
INTO_SUBGRAPH = """(types) => {
  const { graph } = window.app;
  const inside = graph.nodes.filter(({ comfyClass }) => types.includes(comfyClass));
  return graph.convertToSubgraph(new Set(inside)).node.id; }"""
ENTER = """(id) => {
  const node = (window.app.rootGraph ?? window.app.graph).getNodeById(id);
  window.app.canvas.setGraph(node.subgraph); }"""
LEAVE = "() => window.app.canvas.setGraph(window.app.rootGraph ?? window.app.graph.rootGraph)"
UNPACK = """(id) => {
  const graph = window.app.rootGraph ?? window.app.graph;
  graph.unpackSubgraph(graph.getNodeById(id)); }"""


def own_problems(screen: ComfyPage) -> list[str]:
    return [problem for problem in screen.problems if ".mjs" in problem]


def test_a_duplicate_has_a_panel_of_its_own(screen: ComfyPage) -> None:
    page = screen.page
    run_first(screen)
    first = seen(screen)
    page.evaluate(DUPLICATE, "ARDecode")
    page.evaluate(LOOK_AT, [380, 60, 0.8])
    page.locator(".arg-hint:visible").wait_for()  # not the original's images
    page.locator(".arg-stage:visible").wait_for()
    page.evaluate(SET_WIDGET, ["ARSampler", "seed", 91])
    assert screen.queue()["kind"] == "execution_success"
    page.wait_for_function(
        "() => [...document.querySelectorAll('.arg-stage')].filter((one) => one.offsetWidth).length === 2"
    )
    frames = [frame.get_attribute("src") for frame in page.locator(".arg-frame:visible").all()]
    assert len(frames) == 2 and frames[0] == frames[1] != first
    page.evaluate(SET_WIDGET, ["ARDecode", "viewer", "off"])
    page.locator(".arg-stage:visible").nth(1).wait_for(state="detached")  # the copy's stays
    assert page.locator(".arg-stage:visible").count() == 1
    assert own_problems(screen) == []


def seen(screen: ComfyPage) -> str:
    """The image in the one viewer that is seen, once it is there."""
    return screen.page.locator(".arg-frame:visible").get_attribute("src") or ""


def test_panels_inside_a_subgraph(screen: ComfyPage, request: pytest.FixtureRequest) -> None:
    page = screen.page
    screen.load(example("01 First image - no download")[1])
    group = page.evaluate(INTO_SUBGRAPH, ["ARDecode", "ARGuidanceCFG"])
    page.locator(".arg-schedule").wait_for(state="hidden")
    assert screen.queue()["kind"] == "execution_success"
    page.locator(".arg-stage:visible").wait_for()  # on the subgraph's node
    page.evaluate(ENTER, group)
    page.evaluate(LOOK_AT, [-200, 300, 0.7])
    page.locator(".arg-schedule:visible").wait_for()
    page.get_by_text(AS_RUN).wait_for()
    first = seen(screen)
    screen.screenshot(f"subgraph-{request.node.callspec.id.replace(' ', '-')}")
    page.evaluate(LEAVE)
    page.locator(".arg-schedule").wait_for(state="hidden")
    page.evaluate(SET_WIDGET, ["ARSampler", "seed", 92])
    assert screen.queue()["kind"] == "execution_success"
    page.evaluate(ENTER, group)
    page.locator(".arg-shot:visible", has_text="seed 92").first.wait_for()
    assert seen(screen) != first
    assert own_problems(screen) == []


def test_an_unpacked_subgraph_shows_its_runs(screen: ComfyPage) -> None:
    page = screen.page
    screen.load(example("01 First image - no download")[1])
    group = page.evaluate(INTO_SUBGRAPH, ["ARDecode", "ARGuidanceCFG"])
    page.evaluate(UNPACK, group)
    page.evaluate(LOOK_AT, [-200, 300, 0.7])
    page.locator(".arg-schedule:visible").first.wait_for()
    assert screen.queue()["kind"] == "execution_success"
    page.locator(".arg-stage:visible").wait_for()
    page.get_by_text(AS_RUN).first.wait_for()
    assert own_problems(screen) == []
