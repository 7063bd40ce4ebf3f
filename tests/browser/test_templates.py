"""The templates as they open: the first one's images are large, wires have colours, the list is in order."""

from __future__ import annotations

import json

import pytest
from ar_guidance.tests.browser.comfy_page import ComfyPage
from ar_guidance.tests.browser.test_gallery import BOXES, overlapping
from ar_guidance.tests.browser.test_panels import STEM, own_errors, signatures
from ar_guidance.tests.hosts.examples import ALL_EXAMPLES, example

pytestmark = pytest.mark.browser
LARGE = 256  # pixels of the screen
OPEN = """async ([workflow, name]) => { await window.app.loadGraphData(workflow, true, true, name, { openSource: 'template' }) }"""
SIZES = """() => {
  const { scale } = window.app.canvas.ds;
  const seen = (places) => [...document.querySelectorAll(places)].map((image) => image.getBoundingClientRect()).map(({ width, height }) => Math.min(width, height));
  const save = window.app.graph.nodes.find((node) => node.comfyClass === 'SaveImage');
  const drawn = (save.imageRects ?? []).map(([, , width, height]) => Math.min(width, height) * scale);
  return { viewer: seen('.arg-stage'), saved: drawn.length ? drawn : seen(`[data-node-id="${save.id}"] img`) }; }"""
COLOURS = """(kinds) => kinds.map((kind) => [
  window.LGraphCanvas.link_type_colors[kind], window.app.canvas.default_connection_color_byType[kind],
  getComputedStyle(document.documentElement).getPropertyValue(`--color-datatype-${kind}`).trim()])"""
COLOURED = "(kind) => window.LGraphCanvas.link_type_colors[kind]"
PALETTE = "(id) => window.app.extensionManager.setting.set('Comfy.ColorPalette', id)"
LIST = "async () => await window.comfyAPI.api.api.getWorkflowTemplates()"
KINDS = ["AR_MODEL", "AR_CONDITIONING", "AR_SAMPLING", "AR_TOKENS", "AR_TRACE"]


def test_the_first_template_shows_large_images(
    screen: ComfyPage, request: pytest.FixtureRequest
) -> None:
    page = screen.page
    if request.node.callspec.id == "1.32.9 nodes 2.0":
        pytest.skip(
            "this frontend's Nodes 2.0 gives panels little room and shows one image of a batch"
        )
    own = own_errors(screen)
    page.evaluate(OPEN, [example(STEM)[1], STEM])
    page.wait_for_timeout(1500)  # the view has settled
    assert overlapping(page.evaluate(BOXES)) == []
    assert screen.queue()["kind"] == "execution_success"
    page.locator(".arg-stage").wait_for()
    page.wait_for_timeout(2500)  # images have been fetched
    sizes = page.evaluate(SIZES)
    assert len(sizes["viewer"]) == 1 and len(sizes["saved"]) >= 4, sizes
    assert min(sizes["viewer"] + sizes["saved"]) >= LARGE, sizes
    assert overlapping(page.evaluate(BOXES)) == []
    assert signatures(screen.problems) <= own


def test_wires_keep_their_colours(comfy_page: ComfyPage) -> None:
    page = comfy_page.page
    comfy_page.load(example(STEM)[1])
    page.wait_for_function(COLOURED, arg=KINDS[0])
    before = page.evaluate(COLOURS, KINDS)
    assert all(len(set(colours)) == 1 and colours[0] for colours in before), before
    assert len({colours[0] for colours in before}) == len(KINDS)
    page.evaluate(PALETTE, "nord")
    page.wait_for_timeout(1500)
    assert page.evaluate(COLOURS, KINDS) == before
    page.evaluate(PALETTE, "dark")


def test_templates_are_listed_in_order(comfy_page: ComfyPage) -> None:
    stems = [path.stem for path in ALL_EXAMPLES]
    listed = comfy_page.page.evaluate(LIST)
    assert listed["ComfyUI-AR-Guidance"] == stems
    for stem in stems:  # files are served under their names
        reply = comfy_page.page.request.get(
            f"{comfy_page.page.url.rstrip('/#')}/api/workflow_templates/ComfyUI-AR-Guidance/{stem}.json"
        )
        assert json.loads(reply.body())["nodes"]
