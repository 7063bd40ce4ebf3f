"""The papers' rows as blueprints: put into a graph from the node library, they show their numbers and run."""

from __future__ import annotations

import pytest
from ar_guidance.sampling.paper_settings import BY_NAME, PaperSetting
from ar_guidance.tests.browser.comfy_page import ComfyPage
from ar_guidance.tests.hosts.running import RunningHost

pytestmark = pytest.mark.browser
# Of every family; the last is run. What all of them hold: tests/test_paper_subgraphs.py.
OPENED = ("VAR-d36 IGG", "EDM2-S mix", "AliTok-XL SoftCFG", "VAR-d30 IGG")
SHOWN = """() => Object.fromEntries(
  window.app.graph.nodes.at(-1).widgets.map((widget) => [widget.name, widget.value]))"""
RUN_IT = """() => {
  const { graph } = window.app;
  const blueprint = graph.nodes[0];
  const add = (type, widgets, x) => {
    const node = window.LiteGraph.createNode(type);
    node.pos = [x, 600];
    for (const [name, value] of Object.entries(widgets))
      node.widgets.find((widget) => widget.name === name).value = value;
    graph.add(node);
    return node;
  };
  const model = add('ARLoadCheckpoint', { checkpoint: 'bundled: emoji 64x64' }, 0);
  const condition = add('ARClassCondition', { classes: 'flower' }, 400);
  const decode = add('ARDecode', {}, 800);
  const save = add('SaveImage', {}, 1200);
  model.connect(0, condition, condition.inputs.findIndex((input) => input.name === 'ar_model'));
  model.connect(0, blueprint, 0);
  condition.connect(0, blueprint, 1);
  blueprint.connect(0, decode, 0);
  decode.connect(0, save, 0);
  return save.id;
}"""


def put(page: ComfyPage, row: PaperSetting) -> None:
    """As a user finds it."""
    page.load({"nodes": [], "links": [], "version": 0.4})
    name = f"AR paper {row.name}"
    search = page.page.get_by_placeholder("Search").first
    search.fill(name)
    page.page.get_by_text(name, exact=True).first.click()
    page.page.mouse.click(900, 300)
    page.page.wait_for_function("() => window.app.graph.nodes.length === 1")


def test_the_papers_blueprints_open_with_their_numbers_and_one_runs(
    comfy_page: ComfyPage, host: RunningHost
) -> None:
    page = comfy_page.page
    page.keyboard.press("n")  # the node library
    for row in (BY_NAME[name] for name in OPENED):
        put(comfy_page, row)
        shown, (guidance,) = page.evaluate(SHOWN), row.chain
        assert shown["preset"] == row.name
        assert (shown["scale"], shown["schedule"]) == (guidance.scale, guidance.schedule)
    save = page.evaluate(RUN_IT)
    inside = {n["class_type"]: n["inputs"] for n in comfy_page.prompt().values()}
    assert inside["ARGuidanceIGG"]["scale"] == 2.85 and inside["ARSampler"]["top_k"] == 900
    ended = comfy_page.queue()
    assert ended["kind"] == "execution_success", ended
    assert len(comfy_page.images_of(save)) == 1
    note = page.get_by_text("this network is another (").first
    note.wait_for(state="attached", timeout=10_000)
