"""The pack in Chinese: titles, inputs, tooltips and panels, in the frontend that belongs to each host."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from ar_guidance.tests.browser.comfy_page import ComfyPage
from ar_guidance.tests.hosts.examples import example
from ar_guidance.tests.hosts.running import RunningHost

pytestmark = pytest.mark.browser
ROOT = Path(__file__).resolve().parents[2]
CHINESE = json.loads((ROOT / "locales" / "zh" / "nodeDefs.json").read_text(encoding="utf-8"))
SHOWN = """() => window.app.graph.nodes.filter((node) => node.comfyClass.startsWith('AR')).map((node) => ({
  type: node.comfyClass,
  title: node.title,
  inputs: Object.fromEntries((node.inputs ?? []).map((slot) => [slot.name, slot.label ?? slot.localized_name ?? slot.name])),
  widgets: Object.fromEntries((node.widgets ?? []).map((widget) => [widget.name, widget.label])),
  tooltips: Object.fromEntries((node.widgets ?? []).map((widget) => [widget.name, widget.tooltip])),
  outputs: (node.outputs ?? []).map((slot) => slot.label ?? slot.localized_name ?? slot.name),
}))"""
ADD = """(types) => { window.app.graph.clear(); types.forEach((type, at) => {
  const node = window.LiteGraph.createNode(type);
  node.pos = [40 + 420 * (at % 4), 60 + 620 * Math.floor(at / 4)];
  window.app.graph.add(node); }) }"""


@pytest.fixture
def chinese(comfy_page: ComfyPage, host: RunningHost) -> Iterator[ComfyPage]:
    """A page whose frontend speaks Chinese."""
    host.client.request("/settings", {"Comfy.Locale": "zh"})
    comfy_page.open(host.url)
    yield comfy_page
    host.client.request("/settings", {"Comfy.Locale": "en"})


def test_nodes_and_panels_in_chinese(chinese: ComfyPage, host: RunningHost) -> None:
    page = chinese.page
    page.evaluate(ADD, list(CHINESE))
    for shown in page.evaluate(SHOWN):
        print(json.dumps(shown, ensure_ascii=False))
    assert chinese.screenshot(f"zh-nodes-{host.version}").stat().st_size > 10_000
    prompt, workflow = example("01-first-picture")
    chinese.load(workflow)
    assert chinese.prompt().keys() == prompt.keys()
    page.locator(".arg-open").get_by_text("从图片中选择").wait_for()
    assert chinese.queue()["kind"] == "execution_success"
    page.locator(".arg-stage").wait_for()
    assert "第 7 个尺度，共 7 个" in page.locator(".arg-body > .arg-caption").inner_text()
    assert chinese.screenshot(f"zh-run-{host.version}").stat().st_size > 10_000
    assert 0
