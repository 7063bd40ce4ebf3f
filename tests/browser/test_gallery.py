"""The gallery: every workflow that needs no download is opened and run, and the blueprint is used as a user would."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator

import pytest
from ar_guidance.tests.browser.comfy_page import ComfyPage
from ar_guidance.tests.browser.conftest import opened
from ar_guidance.tests.browser.layout import BOXES, overlapping
from ar_guidance.tests.browser.test_browser import without_titles
from ar_guidance.tests.browser.test_panels import own_errors, signatures
from ar_guidance.tests.browser.test_viewer import CUT
from ar_guidance.tests.hosts.examples import EXAMPLES, EXAMPLES_WITH_FILES, example
from ar_guidance.tests.hosts.running import RunningHost, started
from ar_guidance.tools.dev.hosts import NEWEST
from PIL import Image
from playwright.sync_api import Browser

pytestmark = pytest.mark.browser
BLUEPRINT = "AR generate"
SET = """([name, value]) => {
  const widget = window.app.graph.nodes[0].widgets.find((widget) => widget.name === name);
  widget.value = value; widget.callback?.(value); }"""
SAVE_ITS_IMAGES = """() => {
  const save = window.LiteGraph.createNode('SaveImage');
  const [generate] = window.app.graph.nodes;
  save.pos = [generate.pos[0] + 400, generate.pos[1]];
  window.app.graph.add(save);
  generate.connect(0, save, 0); }"""
DROP = """async (file) => {
  const bytes = Uint8Array.from(atob(file), (character) => character.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], 'picture.png', { type: 'image/png' }));
  const canvas = document.querySelector('#graph-canvas');
  const { left, top, width, height } = canvas.getBoundingClientRect();
  const where = { clientX: left + width / 2, clientY: top + height / 2 };
  for (const kind of ['dragenter', 'dragover', 'drop'])
    canvas.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true, ...where }));
}"""

VUE = "() => document.querySelectorAll('[data-node-id]').length >= window.app.graph.nodes.length"


@pytest.fixture(scope="module")
def newest(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunningHost:
    """The newest host."""
    return started(NEWEST, request.config, tmp_path_factory)


@pytest.fixture(scope="module")
def gallery(
    newest: RunningHost, chromium: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ComfyPage]:
    """One page for all examples, as when a user tries one after the other."""
    yield from opened(newest, chromium, tmp_path_factory.mktemp("gallery"))


@pytest.fixture(scope="module")
def known(gallery: ComfyPage) -> set[str]:
    """The errors that are the frontend's own."""
    return own_errors(gallery)


@pytest.fixture(scope="module", params=["litegraph", "nodes 2.0"])
def opening(
    request: pytest.FixtureRequest,
    newest: RunningHost,
    chromium: Browser,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ComfyPage]:
    """A page of each renderer."""
    vue = request.param == "nodes 2.0"
    yield from opened(newest, chromium, tmp_path_factory.mktemp("opening"), vue)
    newest.client.request("/settings", {"Comfy.VueNodes.Enabled": False})


@pytest.mark.parametrize("stem", EXAMPLES + EXAMPLES_WITH_FILES)
def test_no_node_covers_another(
    opening: ComfyPage, stem: str, request: pytest.FixtureRequest
) -> None:
    opening.load(example(stem)[1])
    if "nodes 2.0" in request.node.callspec.id:
        opening.page.wait_for_function(VUE)
    opening.page.wait_for_timeout(800)  # panels and images have found their sizes
    assert overlapping(opening.page.evaluate(BOXES)) == []
    shown = opening.page.evaluate(CUT)
    assert all(whole <= room for _, room, whole in shown), shown


# the search for a scale is many runs in one: it is opened by test_browser and run by tests/hosts
@pytest.mark.parametrize("stem", [stem for stem in EXAMPLES if "best scale" not in stem])
def test_example_runs_in_the_page(gallery: ComfyPage, known: set[str], stem: str) -> None:
    prompt, workflow = example(stem)
    gallery.load(workflow)
    ended = gallery.queue()
    assert ended["kind"] == "execution_success", ended
    for key, node in prompt.items():
        if node["class_type"] == "SaveImage":
            assert gallery.images_of(int(key))
    assert (
        overlapping(gallery.page.evaluate(BOXES)) == []
    )  # with what the run has added to the nodes
    assert signatures(gallery.problems) <= known


@pytest.mark.parametrize(
    "stem", [stem for stem in EXAMPLES if stem[:2] in ("02", "03", "06", "20", "21", "37")]
)
def test_what_ran_covers_nothing(opening: ComfyPage, stem: str) -> None:
    """An image makes the node that shows it taller, in Nodes 2.0 more than in the other renderer."""
    opening.load(example(stem)[1])
    assert opening.queue()["kind"] == "execution_success"
    opening.page.wait_for_timeout(800)
    assert overlapping(opening.page.evaluate(BOXES)) == []


def test_dropped_image_opens_its_graph(gallery: ComfyPage) -> None:
    gallery.load(example("21 In-paint")[1])
    queued = gallery.prompt()
    assert gallery.queue()["kind"] == "execution_success"
    (save,) = (key for key, node in queued.items() if node["class_type"] == "SaveImage")
    image = gallery.page.request.get(gallery.images_of(int(save))[0]).body()
    Image.open(io.BytesIO(image)).verify()
    gallery.load({"nodes": [], "links": [], "version": 0.4})
    assert gallery.prompt() == {}
    gallery.page.evaluate(DROP, base64.b64encode(image).decode())
    gallery.page.wait_for_function("() => window.app.graph.nodes.length > 0")
    assert without_titles(gallery.prompt()) == without_titles(queued)


def test_blueprint_from_the_node_library(comfy_page: ComfyPage, host: RunningHost) -> None:
    page = comfy_page.page
    comfy_page.load({"nodes": [], "links": [], "version": 0.4})
    page.keyboard.press("n")  # the node library
    page.get_by_placeholder("Search").first.fill(BLUEPRINT)
    page.get_by_text(BLUEPRINT, exact=True).first.click()
    page.mouse.click(900, 300)
    page.wait_for_function("() => window.app.graph.nodes.length === 1")
    for name, value in {"classes": "flower\nfruit", "scale": 3.0, "seed": 5}.items():
        page.evaluate(SET, [name, value])
    page.evaluate(SAVE_ITS_IMAGES)
    inside = {n["class_type"]: n["inputs"] for n in comfy_page.prompt().values()}
    assert inside["ARClassCondition"]["classes"] == "flower\nfruit"
    assert (inside["ARGuidanceCFG"]["scale"], inside["ARSampler"]["seed"]) == (3.0, 5)
    ended = comfy_page.queue()
    assert ended["kind"] == "execution_success", ended
    save = page.evaluate("() => window.app.graph.nodes.find((n) => n.type === 'SaveImage').id")
    assert len(comfy_page.images_of(save)) == 4  # two classes, two images of each
    assert comfy_page.screenshot(f"blueprint-{host.version}").stat().st_size > 10_000
