"""The schedule editor: its shapes are those of the run, it says what it does not know, and dragging loses nothing."""

from __future__ import annotations

import random
from typing import Any

import pytest
from ar_guidance.guidance.curve import CUBIC, LINEAR, Curve
from ar_guidance.guidance.schedule import CUMULATIVE, KINDS, Schedule
from ar_guidance.tests.browser.comfy_page import ComfyPage
from ar_guidance.tests.browser.test_panels import SET_WIDGET, drag_up, inputs
from ar_guidance.tests.hosts.examples import example, first_workflow
from ar_guidance.tests.hosts.running import RunningHost
from playwright.sync_api import Locator

pytestmark = pytest.mark.browser
STRENGTHS = """async (cases) => {
  const scripts = await (await fetch('/extensions')).json();
  const { strengths, parseCurve } = await import(scripts.find((path) => path.endsWith('/ar_guidance.js')).replace('ar_guidance.js', 'shapes.mjs'));
  return cases.map(([settings, count]) => strengths({ ...settings, curve: parseCurve(settings.curve) }, count));
}"""
ADD = """(type) => {
  const node = window.LiteGraph.createNode(type);
  node.pos = [1800, 100];
  window.app.graph.add(node);
  return node.id; }"""
# One more guidance node behind the chain, all nodes in view: what is far outside has no panel.
APPEND = """(type) => {
  const chain = window.app.graph.nodes.filter((node) => node.comfyClass?.startsWith('ARGuidance')); // a note has none
  const node = window.LiteGraph.createNode(type);
  node.pos = [1800, 100 + 700 * chain.length];
  window.app.graph.add(node);
  chain.at(-1).connect(0, node, node.inputs.findIndex(({ name }) => name === 'ar_sampling'));
  window.app.extensionManager.command.execute('Comfy.Canvas.FitView'); }"""
UNLINK = """([type, name]) => {
  const node = window.app.graph.nodes.find((node) => node.comfyClass === type);
  node.disconnectInput(node.inputs.findIndex((input) => input.name === name)); }"""
REMOVE = "(id) => window.app.graph.remove(window.app.graph.getNodeById(id))"
TITLES = "(dots) => dots.map((dot) => dot.textContent)"


def cases(kind: str, rng: random.Random) -> list[tuple[dict[str, Any], int, list[float | None]]]:
    """Settings as the editor reads them, a number of steps, and the strengths of such a run."""
    found = []
    for count in (1, 2, 3, 7, 10, 64, 256):
        for start, end, power, line in ((0.0, 1.0, 1.0, 0), (0.2, 0.7, 2.75, 16)):
            for interpolation in (CUBIC, LINEAR):
                values = [round(rng.uniform(-2, 9), 2) for _ in range(count)]
                points = [(rng.random(), rng.random()) for _ in range(rng.randint(1, 6))]
                curve = Curve(tuple(points), interpolation)
                schedule = Schedule(kind, start, end, power, tuple(values), curve, line)
                full, rest = rng.choice([(4.0, 1.0), (-0.4, 1.0), (0.6, 0.0), (60.0, 1.0)])
                wanted = [schedule.strength(k, count, full, rest) for k in range(count)]
                settings = {"kind": kind, "full": full, "rest": rest, "start": start, "end": end}
                settings |= {"power": power, "values": values, "line": line}
                settings["curve"] = {"points": points, "interpolation": interpolation}
                found.append((settings, count, wanted))
    return found


def test_shapes_are_those_of_the_run(comfy_page: ComfyPage) -> None:
    rng = random.Random(4)
    every = [case for kind in (*KINDS, CUMULATIVE) for case in cases(kind, rng)]
    drawn = comfy_page.page.evaluate(STRENGTHS, [case[:2] for case in every])
    for (settings, count, wanted), got in zip(every, drawn, strict=True):
        assert got == pytest.approx(wanted, abs=1e-9), (settings["kind"], count)


def panel(page: ComfyPage, at: int = 0) -> Locator:
    """The editor of one node, in the order in which they were made."""
    shown = page.page.locator(".arg-panel:has(.arg-schedule)").nth(at)
    shown.locator(".arg-curve").first.wait_for(state="attached")
    return shown


def test_the_model_decides_until_it_is_known(comfy_page: ComfyPage) -> None:
    page = comfy_page.page
    comfy_page.load(first_workflow())
    other = page.evaluate(ADD, "ARGuidanceCFG")  # behind no model
    page.get_by_text("7 steps, 1 → 4, as the model's authors chose").wait_for()
    assert panel(comfy_page).locator(".arg-guess").count() == 0
    assert panel(comfy_page, 1).locator(".arg-guess").count() == 1
    assert "the model decides" in panel(comfy_page, 1).inner_text()
    assert comfy_page.queue()["kind"] == "execution_success"
    page.get_by_text("7 steps, 1 → 4, as in the last run").wait_for()
    assert panel(comfy_page, 1).locator(".arg-guess").count() == 1
    page.evaluate(REMOVE, other)
    page.wait_for_function("() => document.querySelectorAll('.arg-schedule').length === 1")


def test_a_drag_starts_from_what_is_shown(comfy_page: ComfyPage) -> None:
    page = comfy_page.page
    comfy_page.load(first_workflow())
    page.get_by_text("7 steps, 1 → 4").wait_for()
    drag_up(comfy_page, 3, 5)
    guidance = inputs(comfy_page, "ARGuidanceCFG")
    values = [float(value) for value in guidance["values"].split(",")]
    assert guidance["schedule"] == "list" and values[3] > 2.5
    assert values[:3] + values[4:] == [1.0, 1.5, 2.0, 3.0, 3.5, 4.0]
    long = [1 + k / 100 for k in range(256)]  # of a next-token model
    page.evaluate(SET_WIDGET, ["ARGuidanceCFG", "values", ", ".join(map(str, long))])
    page.get_by_text("256 steps, 1 → 3.55").wait_for()
    assert page.locator(".arg-point").count() == 64
    drag_up(comfy_page, 0, -10)
    bent = [float(v) for v in inputs(comfy_page, "ARGuidanceCFG")["values"].split(",")]
    assert len(bent) == 256 and bent[0] < bent[1] < bent[3] and bent[3] < long[3]
    assert bent[4:] == pytest.approx(long[4:])


def test_points_are_moved_by_keyboard(screen: ComfyPage) -> None:
    page = screen.page
    screen.load(first_workflow())
    page.get_by_text("7 steps, 1 → 4").wait_for()
    points = page.locator(".arg-point[role=slider]")
    assert points.count() == 7 and page.locator(".arg-point[tabindex='0']").count() == 1
    points.first.focus()
    for key in ("ArrowRight", "End", "ArrowLeft", "ArrowUp", "PageUp", "ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
    guidance = inputs(screen, "ARGuidanceCFG")
    assert guidance["schedule"] == "list"
    values = [float(value) for value in guidance["values"].split(",")]
    assert values == [1.0, 1.5, 2.0, 2.5, 3.0, 4.6, 4.0]  # 3.5 and 1.1 more
    here = page.locator(".arg-point:focus")
    assert here.get_attribute("aria-label") == "strength of step 6"
    assert here.get_attribute("aria-valuetext") == "step 6: 4.6"
    page.keyboard.press("Control+Enter")  # the frontend's own
    assert inputs(screen, "ARGuidanceCFG")["values"] == guidance["values"]


def test_a_curve_is_drawn_and_not_dragged(comfy_page: ComfyPage, host: RunningHost) -> None:
    page = comfy_page.page
    comfy_page.load(first_workflow())
    panel(comfy_page)
    if "curve" not in inputs(comfy_page, "ARGuidanceCFG"):
        assert host.version == "0.3.75"  # it has no curve widget, and the node does not offer one
        return
    points = [[0, 0.2], [0.3, 1], [1, 0.1]]
    curve = {"points": points, "interpolation": CUBIC}
    for name, value in {"curve": curve, "schedule": "curve", "scale": 5.0}.items():
        page.evaluate(SET_WIDGET, ["ARGuidanceCFG", name, value])
    page.get_by_text("7 steps, 1.8 → 1.4, drawn in 'curve'").wait_for()
    schedule = Schedule("curve", curve=Curve(tuple((x, y) for x, y in points)))
    strengths = [schedule.strength(k, 7, 5.0, 1.0) for k in range(7)]
    shown = page.locator(".arg-point").evaluate_all(TITLES)
    assert [float(text.split(": ")[1]) for text in shown] == pytest.approx(strengths, rel=6e-3)
    before = inputs(comfy_page, "ARGuidanceCFG")
    drag_up(comfy_page, 3, -15)
    assert inputs(comfy_page, "ARGuidanceCFG") == before and before["curve"] == curve


def test_the_mix_draws_both_weights(comfy_page: ComfyPage) -> None:
    page = comfy_page.page
    comfy_page.load({"nodes": [], "links": [], "version": 0.4})
    page.evaluate(ADD, "ARGuidanceMixed")
    page.evaluate(SET_WIDGET, ["ARGuidanceMixed", "schedule", "linear ramp"])
    page.get_by_text("10 steps, γ 1 → 4, γ′ 1 → -0.4").wait_for(state="attached")
    assert panel(comfy_page).locator(".arg-curve").count() == 2
    assert panel(comfy_page).locator(".arg-point").count() == 20


def test_a_chain_says_what_it_adds_up_to(screen: ComfyPage, request: pytest.FixtureRequest) -> None:
    page = screen.page
    screen.load(first_workflow())
    page.get_by_text("7 steps, 1 → 4").wait_for()
    assert page.locator(".arg-sum:visible").count() == 0  # one guidance needs no sum
    page.evaluate(APPEND, "ARGuidanceIGG")
    page.get_by_text("guidance adds up to 8").wait_for()  # u + 4 G + 4 A G
    page.evaluate(APPEND, "ARGuidanceMixed")
    page.get_by_text("guidance adds up to 10.6").wait_for()  # + 3 G - 0.4 A G
    screen.screenshot(f"sum-{request.node.callspec.id.replace(' ', '-')}")
    page.evaluate(SET_WIDGET, ["ARGuidanceCFG", "scale", 1.0])
    page.get_by_text("guidance adds up to 7.6").wait_for()
    assert page.locator(".arg-sum:visible").count() == 2


def test_what_a_link_decides_is_not_drawn(comfy_page: ComfyPage) -> None:
    page = comfy_page.page
    comfy_page.load(example("24 Sweep on a grid")[1])
    page.get_by_text("scale comes from a link").wait_for()
    shown = panel(comfy_page)
    assert shown.locator(".arg-guess").count() == 1 and shown.locator(".arg-point").count() == 0
    before = inputs(comfy_page, "ARGuidanceCFG")
    shown.locator(".arg-schedule").click()
    assert inputs(comfy_page, "ARGuidanceCFG") == before
    page.evaluate(UNLINK, ["ARGuidanceCFG", "scale"])
    page.get_by_text("as the model's authors chose").wait_for()
    page.evaluate(SET_WIDGET, ["ARGuidanceCFG", "schedule", "linear ramp"])
    page.get_by_text("7 steps, 1 → 4").wait_for()
    drag_up(comfy_page, 3, 15)
    assert inputs(comfy_page, "ARGuidanceCFG")["schedule"] == "list"


def test_a_wrong_list_is_marked(comfy_page: ComfyPage) -> None:
    page = comfy_page.page
    comfy_page.load(first_workflow())
    page.evaluate(SET_WIDGET, ["ARGuidanceCFG", "schedule", "list"])
    for values, said in (
        ("1, 2, x, 4", "values: 'x' is not a number"),
        ("1, 2, 3", "3 steps, 1 → 3"),
    ):
        page.evaluate(SET_WIDGET, ["ARGuidanceCFG", "values", values])
        page.get_by_text(said).wait_for()
        assert page.locator(".arg-wrong").count() == ("x" in values)
