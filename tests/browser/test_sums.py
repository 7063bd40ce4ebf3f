"""What a chain adds up to, where parts of it are in subgraphs."""

from __future__ import annotations

from contextlib import suppress

import pytest
from ar_guidance.tests.browser.comfy_page import ComfyPage
from ar_guidance.tests.browser.test_copies import INTO_SUBGRAPH, LEAVE, own_problems
from ar_guidance.tests.browser.test_panels import SET_WIDGET
from ar_guidance.tests.browser.test_schedule import APPEND
from ar_guidance.tests.hosts.examples import first_workflow
from playwright.sync_api import Locator, Page, TimeoutError

pytestmark = pytest.mark.browser
SUM = "guidance adds up to {}"
# Through nodes of subgraphs, one after the other, as their buttons do.
OPEN = """(ids) => {
  const { canvas } = window.app;
  for (const id of ids) {
    const node = canvas.graph.getNodeById(id);
    canvas.openSubgraph(node.subgraph, node);
  }
  window.app.extensionManager.command.execute('Comfy.Canvas.FitView'); }"""
FIT = "() => window.app.extensionManager.command.execute('Comfy.Canvas.FitView')"
# As a breadcrumb or a link to a subgraph does: nobody says through which of its nodes.
SHOW = """(id) => {
  window.app.canvas.setGraph(window.app.canvas.graph.getNodeById(id).subgraph);
  window.app.extensionManager.command.execute('Comfy.Canvas.FitView'); }"""
WRAP = """(id) => {
  const { graph } = window.app;
  const node = graph.convertToSubgraph(new Set([graph.getNodeById(id)])).node;
  return [node.id, node.subgraph.nodes[0].id]; }"""
# One more node of a subgraph, behind a node of the chain.
AGAIN = """([id, behind]) => {
  const { graph } = window.app;
  const node = graph.getNodeById(id);
  const twin = window.LiteGraph.createNode(node.type);
  twin.pos = [2400, 100];
  graph.add(twin);
  graph.getNodeById(behind).connect(0, twin, twin.inputs.findIndex(({ name }) => name === 'ar_sampling'));
  window.app.extensionManager.command.execute('Comfy.Canvas.FitView');
  return twin.id; }"""


def chain_with(screen: ComfyPage, *kinds: str) -> None:
    """CFG and what follows it."""
    screen.load(first_workflow())
    screen.page.get_by_text("7 steps, 1 → 4").wait_for()
    for kind in kinds:
        screen.page.evaluate(APPEND, kind)


def wait_in_view(page: Page, shown: Locator) -> None:
    """The frontend puts the view of a subgraph in order some frames after it was opened: what was brought into view before is out again."""
    for _ in range(60):
        page.evaluate(FIT)
        with suppress(TimeoutError):
            shown.first.wait_for(timeout=2000)
            break
    else:
        raise AssertionError(f"never seen: {shown}")


def see_sum(page: Page, total: float) -> None:
    wait_in_view(page, page.get_by_text(SUM.format(total)).locator("visible=true"))


def see_schedule(page: Page) -> None:
    wait_in_view(page, page.locator(".arg-schedule:visible"))


def test_what_is_outside_and_what_is_inside_counts(screen: ComfyPage) -> None:
    page = screen.page
    chain_with(screen, "ARGuidanceIGG", "ARGuidanceMixed")
    page.get_by_text(SUM.format(10.6)).wait_for()
    group = page.evaluate(INTO_SUBGRAPH, ["ARGuidanceIGG"])
    see_sum(page, 10.6)
    page.evaluate(OPEN, [group])
    see_sum(page, 8)
    page.evaluate(LEAVE)
    outer, inner = page.evaluate(WRAP, group)
    see_sum(page, 10.6)
    page.evaluate(OPEN, [outer, inner])
    see_sum(page, 8)
    assert own_problems(screen) == []


def test_every_instance_counts_its_own_outside(screen: ComfyPage) -> None:
    page = screen.page
    chain_with(screen, "ARGuidanceIGG", "ARGuidanceMixed")
    first = page.evaluate(INTO_SUBGRAPH, ["ARGuidanceIGG"])
    second = page.evaluate(AGAIN, [first, first])
    shown = page.locator(".arg-sum:visible")
    for group, total in ((first, 8), (second, 12)):
        page.evaluate(OPEN, [group])
        see_sum(page, total)
        page.evaluate(LEAVE)
    page.evaluate(SHOW, first)  # of the two nobody knows which
    see_schedule(page)
    shown.wait_for(state="hidden")
    page.evaluate(LEAVE)
    page.evaluate(SET_WIDGET, ["ARGuidanceCFG", "scale", 5.0])
    page.evaluate(OPEN, [second])
    see_sum(page, 13)
    assert shown.count() == 1
    assert own_problems(screen) == []
