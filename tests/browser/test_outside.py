"""The viewer on a subgraph's node: the blueprint AR generate runs alone, with its images on the one node that is seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ar_guidance.tests.browser.comfy_page import ComfyPage
from ar_guidance.tests.browser.test_copies import ENTER, LEAVE, LOOK_AT, own_problems, seen
from ar_guidance.tests.browser.test_gallery import SET

pytestmark = pytest.mark.browser
BLUEPRINT = Path(__file__).resolve().parents[2] / "subgraphs" / "AR generate.json"
VALUE = "(name) => window.app.graph.nodes[0].widgets.find((widget) => widget.name === name).value"
SERIALIZED = "() => JSON.parse(JSON.stringify(window.app.graph.serialize()))"


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
