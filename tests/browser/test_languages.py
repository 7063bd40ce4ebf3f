"""The pack in Chinese: titles, inputs, tooltips and panels, in the frontend that belongs to each host."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from ar_guidance.tests.browser.comfy_page import ComfyPage
from ar_guidance.tests.hosts.examples import example, first_workflow
from ar_guidance.tests.hosts.running import RunningHost
from ar_guidance.tools.dev.hosts import NEWEST, OLDEST
from playwright.sync_api import Locator

pytestmark = pytest.mark.browser
ROOT = Path(__file__).resolve().parents[2]
NODES = {
    language: json.loads((ROOT / f"locales/{language}/nodeDefs.json").read_text(encoding="utf-8"))
    for language in ("en", "zh")
}
# The older frontend translates its own nodes only: it replaces a pack's words when it loads its language.
SPOKEN = {OLDEST.version: "en", NEWEST.version: "zh"}
HOSTS_OWN = {
    "IMAGE",
    "LATENT",
    "MASK",
}  # an output named as its type is shown in the host's words for it
SHOWN = """() => window.app.graph.nodes.filter((node) => node.comfyClass.startsWith('AR')).map((node) => ({
  type: node.comfyClass,
  title: node.title,
  inputs: Object.fromEntries((node.inputs ?? []).map((slot) => [slot.name, slot.label ?? slot.localized_name ?? slot.name])),
  widgets: Object.fromEntries((node.widgets ?? []).map((widget) => [widget.name, widget.label])),
  outputs: (node.outputs ?? []).map((slot) => slot.label ?? slot.localized_name ?? slot.name),
}))"""
ADD = """(types) => { window.app.graph.clear(); types.forEach((type, at) => {
  const node = window.LiteGraph.createNode(type);
  node.pos = [40 + 420 * (at % 4), 60 + 620 * Math.floor(at / 4)];
  window.app.graph.add(node); }) }"""


PLACE = """([type, name]) => {
  const node = window.app.graph.nodes.find((node) => node.comfyClass === type);
  const widget = node.widgets.find((widget) => widget.name === name);
  const { scale, offset } = window.app.canvas.ds;
  const box = window.app.canvas.canvas.getBoundingClientRect();
  return [box.left + (node.pos[0] + node.size[0] / 2 + offset[0]) * scale, box.top + (node.pos[1] + widget.last_y + 10 + offset[1]) * scale];
}"""


DRAWN = """([type, name]) => window.app.graph.nodes.find((node) => node.comfyClass === type)
  .widgets.find((widget) => widget.name === name).last_y > 0"""
TITLE = "() => window.LiteGraph.createNode('ARSampler').title"


@pytest.fixture
def chinese(comfy_page: ComfyPage, host: RunningHost) -> Iterator[ComfyPage]:
    """A page whose frontend speaks Chinese."""
    host.client.request("/settings", {"Comfy.Locale": "zh"})
    for _ in range(3):  # the newer frontend does not wait for a language before it registers nodes
        comfy_page.open(host.url)
        if (
            comfy_page.page.evaluate(TITLE)
            == NODES[SPOKEN[host.version]]["ARSampler"]["display_name"]
        ):
            break
    yield comfy_page


def hovered(screen: ComfyPage, kind: str, widget: str) -> Locator:
    """The tooltip of a widget; the mouse moves again until it shows, as the canvas may still be moving too."""
    page = screen.page
    page.wait_for_function(DRAWN, arg=[kind, widget])
    tooltip = page.locator(".node-tooltip")
    for shift in range(40):
        x, y = page.evaluate(PLACE, [kind, widget])
        page.mouse.move(x + shift % 2, y, steps=4)
        page.wait_for_timeout(1500)
        if tooltip.is_visible():
            break
    return tooltip


def test_nodes_in_chinese(chinese: ComfyPage, host: RunningHost) -> None:
    page, language = chinese.page, SPOKEN[host.version]
    words = NODES[language]
    page.evaluate(ADD, list(words))
    for shown in page.evaluate(SHOWN):
        node = words[shown["type"]]
        assert shown["title"] == node["display_name"]
        labels = shown["widgets"] | shown["inputs"]
        for name in labels.keys() & node["inputs"].keys() - {"control_after_generate"}:
            assert labels[name] == node["inputs"][name]["name"], f"{shown['type']}: {name}"
        if language == "zh":
            english = NODES["en"][shown["type"]].get("outputs", {})
            for at, output in node.get("outputs", {}).items():
                if english[at]["name"] not in HOSTS_OWN:
                    assert shown["outputs"][int(at)] == output["name"], shown["type"]
    page.evaluate(ADD, ["ARSampler"])
    tooltip = hovered(chinese, "ARSampler", "temperature")
    assert tooltip.inner_text() == words["ARSampler"]["inputs"]["temperature"]["tooltip"]
    assert chinese.screenshot(f"zh-tooltip-{host.version}").stat().st_size > 10_000


def test_panels_in_chinese(chinese: ComfyPage, host: RunningHost) -> None:
    page = chinese.page
    prompt = example("01 First image - no download")[0]
    chinese.load(first_workflow())
    assert chinese.prompt().keys() == prompt.keys()
    page.locator(".arg-open").get_by_text("从图片中选择").wait_for()
    assert chinese.queue()["kind"] == "execution_success"
    page.locator(".arg-stage").wait_for()
    page.locator(".arg-look", has_text="查看内部").click()
    assert "第 7 个尺度，共 7 个" in page.locator(".arg-inside > .arg-caption").inner_text()
    page.get_by_text("7 步，1 → 4").wait_for()
    assert chinese.screenshot(f"zh-run-{host.version}").stat().st_size > 10_000


NOTE = "() => window.app.graph.nodes.find((node) => node.type === 'MarkdownNote').widgets[0].value"
TITLES = """(graph) => ['nodes', 'groups'].flatMap((kind) => graph[kind].map(({ id, title }) => `${kind} ${id}: ${title}`)).sort()"""
SHOWN_TITLES = f"() => ({TITLES})(window.app.graph)"
SAVED_TITLES = f"() => ({TITLES})(JSON.parse(JSON.stringify(window.app.graph.serialize())))"
SAVED_NOTE = """() => JSON.parse(JSON.stringify(window.app.graph.serialize())).nodes
  .find((node) => node.type === 'MarkdownNote').widgets_values[0]"""


def test_notes_are_shown_in_chinese_and_saved_as_shipped(chinese: ComfyPage) -> None:
    page, workflow = chinese.page, first_workflow()
    (english,) = (n["widgets_values"][0] for n in workflow["nodes"] if n["type"] == "MarkdownNote")
    chinese.load(workflow)
    page.wait_for_function(f"() => ({NOTE})().includes('第一张图像')")
    page.get_by_text("无需下载").first.wait_for(state="attached")  # on screen, too
    assert page.evaluate(SAVED_NOTE) == english
    shown, saved = page.evaluate(SHOWN_TITLES), page.evaluate(SAVED_TITLES)
    titled = [
        (one.rpartition(": ")[2], other.rpartition(": ")[2])
        for one, other in zip(shown, saved, strict=True)
        if one != other
    ]
    assert {"如何生成", "图像", "生成什么"} <= {one for one, _ in titled}
    assert {group["title"] for group in workflow["groups"]} <= {other for _, other in titled}
