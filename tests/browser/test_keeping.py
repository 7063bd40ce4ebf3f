"""What panels keep: through undo, another tab, a reload of the page; and the keys that are not theirs."""

from __future__ import annotations

import pytest
from ar_guidance.tests.browser.comfy_page import ComfyPage, is_prompt_reply
from ar_guidance.tests.browser.test_panels import SET_WIDGET, drag_up, inputs
from ar_guidance.tests.hosts.examples import first_workflow

pytestmark = pytest.mark.browser
# Every change of a widget is one step of undo, as when it is made by hand.
NOTE_CHANGE = """() => {
  const tracker = window.app.extensionManager.workflow.activeWorkflow.changeTracker;
  (tracker.captureCanvasState ?? tracker.checkState).call(tracker); }"""
COMMAND = "(name) => window.app.extensionManager.command.execute(name)"
SCALE_IS = """(value) => window.app.graph.nodes.find((node) => node.comfyClass === 'ARGuidanceCFG')
  ?.widgets.find((widget) => widget.name === 'scale').value === value"""
SEEN = """() => [...document.querySelectorAll('.arg-viewer')].some((panel) => panel.getBoundingClientRect().width > 0)"""
LOOK = """([map, image, step]) => {
  const choose = (selector, value) => {
    const control = document.querySelector(selector);
    control.value = value;
    for (const kind of ['input', 'change']) control.dispatchEvent(new Event(kind));
  };
  document.querySelectorAll('.arg-shot')[image].click();
  document.querySelector('.arg-look').click();
  choose('.arg-maps', map);
  choose('.arg-slider', step); }"""
LOOKED_AT = """() => ['.arg-maps', '.arg-slider'].map((selector) => document.querySelector(selector).value)
  .concat([...document.querySelectorAll('.arg-shot')].findIndex((shot) => shot.getAttribute('aria-selected') === 'true'))"""


def shown(screen: ComfyPage) -> str:
    """The image in the viewer."""
    return screen.page.locator(".arg-frame").get_attribute("src") or ""


def run_first(screen: ComfyPage) -> None:
    """The first example, run once."""
    screen.load(first_workflow())
    assert screen.queue()["kind"] == "execution_success"
    screen.page.locator(".arg-stage").wait_for()


def undo_a_change(screen: ComfyPage, focus: str) -> None:
    """Change the scale, then press Ctrl+Z while `focus` has the focus."""
    page = screen.page
    page.evaluate(NOTE_CHANGE)
    page.evaluate(SET_WIDGET, ["ARGuidanceCFG", "scale", 6.0])
    page.evaluate(NOTE_CHANGE)
    page.locator(focus).first.focus()
    page.keyboard.press("Control+z")
    page.wait_for_function(SCALE_IS, arg=4)
    page.wait_for_function(SEEN)


def test_panels_live_on_after_undo(screen: ComfyPage) -> None:
    run_first(screen)
    before = shown(screen)
    screen.page.locator(".arg-look").click()
    undo_a_change(screen, ".arg-slider")
    screen.page.locator(".arg-stage").wait_for()
    assert shown(screen) == before
    screen.page.evaluate(SET_WIDGET, ["ARSampler", "seed", 77])
    assert screen.queue()["kind"] == "execution_success"
    screen.page.wait_for_function(
        "(before) => document.querySelector('.arg-frame').src !== before", arg=before
    )
    drag_up(screen, 3, 15)
    assert inputs(screen, "ARGuidanceCFG")["schedule"] == "list"


def test_another_tab_and_a_reload_keep_the_viewer(screen: ComfyPage) -> None:
    page = screen.page
    run_first(screen)
    page.evaluate(LOOK, ["nudge", 1, "2"])
    looked_at = page.evaluate(LOOKED_AT)
    assert looked_at == ["nudge", "2", 1]
    page.evaluate(COMMAND, "Comfy.NewBlankWorkflow")
    page.locator(".arg-viewer").wait_for(state="detached")
    page.evaluate(COMMAND, "Workspace.PreviousOpenedWorkflow")
    page.locator(".arg-stage").wait_for()
    assert page.evaluate(LOOKED_AT) == looked_at
    image = page.locator(".arg-shot").first.locator("img").get_attribute("src")
    graph = page.evaluate("() => JSON.parse(JSON.stringify(window.app.graph.serialize()))")
    screen.reload()
    screen.load(graph)
    page.locator(".arg-stage").wait_for()
    assert page.locator(".arg-shot").first.locator("img").get_attribute("src") == image


def test_shortcuts_work_inside_panels(screen: ComfyPage) -> None:
    page = screen.page
    run_first(screen)
    page.locator(".arg-look").click()
    for control in (".arg-slider", ".arg-maps", ".arg-open"):
        with page.expect_response(is_prompt_reply):
            page.locator(control).first.focus()
            page.keyboard.press("Control+Enter")
    page.locator(".arg-slider").focus()
    page.keyboard.press("Home")
    assert page.locator(".arg-slider").input_value() == "0"


# The curve widget's row on the first CFG node, in whichever renderer: what is laid out, and what Nodes 2.0 shows.
CURVE_SHOWN = """() => {
  const node = window.app.graph.nodes.find((node) => node.comfyClass === 'ARGuidanceCFG');
  const curve = node.widgets.find((widget) => widget.name === 'curve');
  const seen = document.querySelector(`[data-node-id="${node.id}"]`);
  return seen?.offsetHeight ? seen.offsetHeight > 500 : !curve.hidden; }"""


def test_the_curve_shows_where_it_is_read(screen: ComfyPage) -> None:
    page = screen.page
    screen.load(first_workflow())
    if "curve" not in inputs(screen, "ARGuidanceCFG"):
        return  # the older host has no such widget
    for schedule in ("linear ramp", "curve", "constant"):
        page.evaluate(SET_WIDGET, ["ARGuidanceCFG", "schedule", schedule])
        wanted = f"(shown) => ({CURVE_SHOWN})() === shown"
        page.wait_for_function(wanted, arg=schedule == "curve")
    curve = {"points": [[0, 1], [1, 0.5]], "interpolation": "linear"}
    page.evaluate(SET_WIDGET, ["ARGuidanceCFG", "curve", curve])
    assert inputs(screen, "ARGuidanceCFG")["schedule"] == "curve"


def test_a_schedule_dragged_before_the_first_run_runs(screen: ComfyPage) -> None:
    page = screen.page
    screen.load(first_workflow())
    page.get_by_text("7 steps, 1 → 4, as the model's authors chose").wait_for()
    drag_up(screen, 3, 15)
    assert len(inputs(screen, "ARGuidanceCFG")["values"].split(",")) == 7
    assert screen.queue()["kind"] == "execution_success"
    page.evaluate(SET_WIDGET, ["ARGuidanceCFG", "values", "1, 5, 3"])  # of another length
    page.get_by_text("3 steps, 1 → 3, fitted to the model's 7").wait_for()
    assert screen.queue()["kind"] == "execution_success"
