"""What the web part adds: viewer, schedule editor, class picker; in every frontend, with both renderers."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ar_guidance.tests.browser.comfy_page import ComfyPage
from ar_guidance.tests.hosts.examples import example, flat_colour_graph
from playwright.sync_api import Error, Route

pytestmark = pytest.mark.browser
STEM = "01 First image - no download"
SET_WIDGET = """([type, name, value]) => {
  const node = window.app.graph.nodes.find((node) => node.comfyClass === type);
  const widget = node.widgets.find((widget) => widget.name === name);
  widget.value = value; widget.callback?.(value); }"""
CONNECT = """([from, to]) => {
  const named = (type) => window.app.graph.nodes.find((node) => node.comfyClass === type);
  const slot = named(to).inputs.findIndex((input) => input.name === 'ar_sampling');
  named(from).connect(0, named(to), slot); }"""


def signatures(problems: list[str]) -> set[str]:
    """Console errors without what differs from run to run, nor the frontend's attempts to look nodes up online."""
    here = [problem.split("\n")[0] for problem in problems if "api.comfy.org" not in problem]
    return {re.sub(r"\d+", "#", problem) for problem in here}


def own_errors(screen: ComfyPage) -> set[str]:
    """What the frontend itself logs as errors, with core nodes only."""
    screen.load(flat_colour_graph())
    assert screen.queue()["kind"] == "execution_success"
    screen.page.wait_for_load_state("networkidle")  # its image has been fetched
    return signatures(screen.problems)


def inputs(page: ComfyPage, kind: str) -> dict[str, Any]:
    """The inputs of the only node of that class, as they would be queued."""
    return next(n["inputs"] for n in page.prompt().values() if n["class_type"] == kind)


def drag_up(page: ComfyPage, step: int, by: float) -> None:
    """Drag a point of the schedule upwards."""
    point = page.page.locator(".arg-point").nth(step)
    for last in (False, False, True):
        try:
            point.scroll_into_view_if_needed()  # waits until the canvas stands still
            break
        except Error as error:  # the schedule was made again meanwhile
            if last or "not attached" not in str(error):
                raise
    page.page.wait_for_timeout(300)
    box = point.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    mouse = page.page.mouse
    mouse.move(x, y), mouse.down(), mouse.move(x, y - by, steps=3), mouse.up()


def test_panels(screen: ComfyPage, request: pytest.FixtureRequest) -> None:
    page = screen.page
    own = own_errors(screen)
    prompt, workflow = example(STEM)
    screen.load(workflow)
    page.evaluate(SET_WIDGET, ["ARDecode", "candidates", True])
    assert screen.queue()["kind"] == "execution_success"
    scrub(screen)
    edit(screen)
    rewire(screen)
    edited = screen.prompt()
    assert edited.keys() == prompt.keys()
    kept = page.evaluate("() => JSON.parse(JSON.stringify(window.app.graph.serialize()))")
    screen.open(page.url)
    screen.load(kept)
    assert screen.prompt() == edited
    assert screen.queue()["kind"] == "execution_success"
    page.locator(".arg-stage").wait_for()
    assert signatures(screen.problems) <= own
    name = request.node.callspec.id.replace(" ", "-")
    assert screen.screenshot(f"panels-{name}").stat().st_size > 10_000


def rewire(screen: ComfyPage) -> None:
    """A link is put elsewhere, and the host is sent the new one; then it is put back."""
    before = screen.prompt()
    ids = {node["class_type"]: key for key, node in before.items()}
    decode, cfg = ids["ARDecode"], ids["ARGuidanceCFG"]
    assert before[decode]["inputs"]["ar_sampling"] == [cfg, 0]
    screen.page.evaluate(CONNECT, ["ARSampler", "ARDecode"])  # guidance is left out
    assert screen.queue()["kind"] == "execution_success"
    assert screen.queued[decode]["inputs"]["ar_sampling"] == [ids["ARSampler"], 0]
    assert cfg not in screen.queued or screen.queued[cfg] == before[cfg]
    screen.page.locator(".arg-caption", has_text="evenness").wait_for(state="detached")
    screen.page.evaluate(CONNECT, ["ARGuidanceCFG", "ARDecode"])
    assert screen.prompt() == before


def scrub(screen: ComfyPage) -> None:
    """The viewer: a frame, a map, numbers and candidates for every scale."""
    page = screen.page
    frame, caption = page.locator(".arg-frame"), page.locator(".arg-inside > .arg-caption")
    page.locator(".arg-stage").wait_for()
    page.locator(".arg-look").click()
    assert "scale 7 of 7, 8×8 tokens" in caption.inner_text()
    final = frame.get_attribute("src")
    slider = page.locator(".arg-slider")
    slider.evaluate("(slider) => { slider.value = 2; slider.dispatchEvent(new Event('input')); }")
    assert "scale 3 of 7, 3×3 tokens" in caption.inner_text()
    assert "evenness" in caption.inner_text()
    assert frame.get_attribute("src") != final
    size = page.locator(".arg-map").evaluate("(map) => [map.width, map.height]")
    assert size == [3, 3]
    page.locator(".arg-stage").hover()
    assert page.locator(".arg-candidate").count() == 10  # five before guidance, five after
    assert "row 2, column 2" in page.locator(".arg-token").inner_text()


def edit(screen: ComfyPage) -> None:
    """The schedule follows the widgets and writes them; the picker adds and removes classes."""
    page = screen.page
    page.wait_for_function("() => document.querySelectorAll('.arg-point').length === 7")
    page.evaluate(SET_WIDGET, ["ARGuidanceCFG", "scale", 6.0])
    page.get_by_text("7 steps, 1 → 6").wait_for()
    drag_up(screen, 3, 15)
    guidance = inputs(screen, "ARGuidanceCFG")
    values = [float(value) for value in guidance["values"].split(",")]
    assert guidance["schedule"] == "list" and len(values) == 7
    assert values[3] > 3.5 and values[0] == 1.0 and values[-1] == 6.0
    before = inputs(screen, "ARClassCondition")["classes"].split("\n")
    held: list[Route] = []  # the list of classes comes late: what was typed meanwhile counts
    page.route("**/classes.json", lambda route: held.append(route))
    page.locator(".arg-open").click()
    page.locator(".arg-search").fill("fruit")
    while not held:
        page.wait_for_timeout(50)
    held[0].continue_()
    page.locator('.arg-class[data-name="fruit"]').click()
    shown = "() => document.querySelectorAll('.arg-class:not([hidden])').length === 5"
    page.wait_for_function(shown)  # fruit, and in each style
    assert inputs(screen, "ARClassCondition")["classes"].split("\n") == [*before, "fruit"]
    page.locator('.arg-class[data-name="fruit"]').click()
    assert inputs(screen, "ARClassCondition")["classes"].split("\n") == before
    page.locator(".arg-open").click()


def test_an_error_offers_what_was_meant(screen: ComfyPage, request: pytest.FixtureRequest) -> None:
    page = screen.page
    screen.load(example(STEM)[1])
    page.evaluate(SET_WIDGET, ["ARClassCondition", "classes", "hearrt\nface"])
    heights = "() => window.app.graph.nodes.map((node) => node.size[1])"
    page.wait_for_timeout(1000)  # Nodes 2.0 of the oldest frontend measures its nodes late
    before = page.evaluate(heights)
    ended = screen.queue()
    assert ended["kind"] == "execution_error"
    wrong = page.locator(".arg-picker .arg-wrong")
    wrong.wait_for()
    assert "'hearrt' is not a class" in (wrong.get_attribute("title") or "")
    screen.screenshot(f"meant-{request.node.callspec.id.replace(' ', '-')}")
    assert page.evaluate(heights) == before
    page.keyboard.press("Escape")  # the frontend's own dialog
    wrong.get_by_text("heart", exact=True).dispatch_event("click")
    assert inputs(screen, "ARClassCondition")["classes"] == "heart\nface"
    page.locator(".arg-open").wait_for()
