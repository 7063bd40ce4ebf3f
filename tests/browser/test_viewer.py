"""The viewer while a run is under way and when it stops early, and how it and the other panels fit their nodes."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import torch
from ar_guidance.guidance.record import TraceRecorder
from ar_guidance.imaging.filmstrip import Maker
from ar_guidance.imaging.map_names import MAPS
from ar_guidance.imaging.viewer import Viewer
from ar_guidance.tests.browser.comfy_page import ComfyPage
from ar_guidance.tests.browser.test_panels import SET_WIDGET, inputs
from ar_guidance.tests.browser.test_schedule import ADD
from ar_guidance.tests.hosts.examples import example
from playwright.sync_api import Locator

pytestmark = pytest.mark.browser
GUIDANCES = ("CFG", "IGG", "Mixed", "SSG", "SoftCFG", "HiddenCFG")
NODES = (*(f"ARGuidance{name}" for name in GUIDANCES), "ARClassCondition", "ARDecode")
SEND = """([name, detail]) => {
  window.comfyAPI.api.api.dispatchEvent(new CustomEvent(name, { detail })); }"""
SPREAD = """() => {
  window.app.graph.nodes.forEach((node, at) => { node.pos = [470 * (at % 4), 720 * Math.floor(at / 4)]; });
  const view = window.app.canvas.ds;
  view.scale = 0.6;
  view.offset = [150, 150];
  window.app.graph.setDirtyCanvas(true, true); }"""
WIDEN = """([id, width]) => {
  const node = window.app.graph.getNodeById(id);
  node.setSize([width, node.size[1]]);
  window.app.graph.setDirtyCanvas(true, true); }"""
WIDE = """(width) => {
  const now = document.querySelector('.arg-body').offsetWidth;
  return width - 60 < now && now <= width; }"""
SHAPED = """(ratio) => {
  const stage = document.querySelector('.arg-stage');
  return stage.style.getPropertyValue('--arg-ratio') == ratio; }"""
FRAME_IN_ROOM = """() => ['.arg-frame', '.arg-room'].map((name) => document.querySelector(name))
  .flatMap((part) => [part.offsetWidth, part.offsetHeight])"""
CUT = """() => [...document.querySelectorAll('.arg-panel, .arg-viewer')].map((panel) => [
  panel.textContent.slice(0, 30), panel.clientHeight, panel.scrollHeight])"""
SAID = """async (names) => {
  const scripts = await (await fetch('/extensions')).json();
  const { sayMap } = await import(scripts.find((path) => path.endsWith('/ar_guidance.js')).replace('ar_guidance.js', 'words.mjs'));
  return names.map(sayMap);
}"""


def empty(screen: ComfyPage, *kinds: str) -> list[int]:
    """Nodes of these classes and nothing else, all of them in view; their ids."""
    screen.load({"nodes": [], "links": [], "version": 0.4})
    screen.page.wait_for_timeout(500)  # until it has put an empty graph in view
    ids = [screen.page.evaluate(ADD, kind) for kind in kinds]
    screen.page.evaluate(SPREAD)
    return ids


def live(node: int, grid: tuple[int, int]) -> dict[str, Any]:
    """The third of seven steps under way."""
    count = grid[0] * grid[1]
    values = base64.b64encode(bytes(255 * k // (count - 1) for k in range(count))).decode()
    where = {"node": str(node), "step": 2, "count": 7, "grid": list(grid)}
    return where | {"map": "added", "low": 0.1, "high": 2.0, "values": values}


def finished(node: int | str, width: int, height: int, *more: int) -> dict[str, Any]:
    """A run of one scale of 4 x 4 tokens and four images, with candidates; of a sweep `more` runs of so many images."""
    runs = [payload(width, height, images) for images in (4, *more)]
    return {"node": str(node), "display_node": str(node), "output": {"ar_viewer": runs}}


def payload(width: int, height: int, images: int) -> dict[str, Any]:
    """What one run sends."""
    recorder = TraceRecorder(((4, 4),))
    recorder.add("softcfg 2 direction", 0, lambda: torch.rand(images, 16) * 100)
    viewer = Viewer(recorder, None, candidates=True)
    top = torch.randint(4096, (images, 16, 5)), torch.rand(images, 16, 5)
    viewer.tops.append((top[0][..., 0], *top, *top))
    image = torch.rand(images, height, width, 3)
    makers = [Maker(place, 5, place, "heart") for place in range(images)]
    return viewer.payload(image, torch.randn(images, 3, 4, 4), recorder.finish(), makers)


def sides(part: Locator) -> tuple[float, float]:
    """Width and height of a part of the page, whatever the canvas's zoom."""
    return part.evaluate("(part) => [part.offsetWidth, part.offsetHeight]")


def look_inside(screen: ComfyPage) -> None:
    """Open what the viewer knows besides the images."""
    screen.page.locator(".arg-look").click()
    screen.page.locator(".arg-inside").wait_for()


def test_the_first_run_says_how_far_it_is(screen: ComfyPage) -> None:
    page = screen.page
    (node,) = empty(screen, "ARDecode")
    page.evaluate(SEND, ["ar_guidance.step", live(node, (3, 6))])
    status = page.locator(".arg-status")
    page.get_by_text("step 3 of 7").wait_for()
    far = {"first": 1, "last": 36, "batch": 72, "step": 160, "count": 256, "seconds": 9}
    page.evaluate(SEND, ["ar_guidance.status", {"node": str(node), **far}])
    assert status.inner_text() == "images 1–36 of 72, step 160 of 256, about 9 s"
    assert not page.locator(".arg-map").is_visible()  # it opens on the image
    assert not page.locator(".arg-frame").is_visible()
    page.evaluate(SEND, ["execution_interrupted", {"node_id": str(node)}])
    page.get_by_text("stopped before the first result").wait_for()
    error = {"node_id": str(node), "exception_message": "this model makes no such size\nmore"}
    page.evaluate(SEND, ["execution_error", error])
    page.locator(".arg-status.arg-wrong", has_text="this model makes no such size").wait_for()
    assert not [problem for problem in screen.problems if ".mjs" in problem]


@pytest.mark.parametrize("end", ["interrupted", "error", "success"])
def test_a_run_without_a_result_gives_the_last_one_back(comfy_page: ComfyPage, end: str) -> None:
    page = comfy_page.page
    (node,) = empty(comfy_page, "ARDecode")
    page.evaluate(SEND, ["executed", finished(node, 64, 64)])
    assert not page.locator(".arg-map").is_visible()
    look_inside(comfy_page)
    caption = page.locator(".arg-inside > .arg-caption")
    page.get_by_text("scale 1 of 1").wait_for()
    before = caption.inner_text()
    page.evaluate(SEND, ["ar_guidance.step", live(node, (2, 1))])
    page.get_by_text("running: step 3 of 7").wait_for()
    page.evaluate(SEND, [f"execution_{end}", {"node_id": str(node), "exception_message": "no"}])
    page.wait_for_function(
        "(before) => document.querySelector('.arg-inside > .arg-caption').innerText === before",
        arg=before,
    )
    assert sides(page.locator(".arg-stage"))[0] == sides(page.locator(".arg-stage"))[1]
    page.locator(".arg-stage").dispatch_event("pointermove", {"clientX": 1, "clientY": 1})
    assert "token row 1, column 1" in page.locator(".arg-token").inner_text()


def test_images_keep_their_proportions(comfy_page: ComfyPage) -> None:
    page = comfy_page.page
    (node,) = empty(comfy_page, "ARDecode")
    for width, height in ((64, 128), (96, 64), (256, 32), (64, 64)):
        page.evaluate(SEND, ["executed", finished(node, width, height)])
        page.wait_for_function(SHAPED, arg=width / height)
        for node_width in (300, 700):
            page.evaluate(WIDEN, [node, node_width])
            page.wait_for_function(WIDE, arg=node_width)
            wide, tall, *room = page.evaluate(FRAME_IN_ROOM)
            assert wide / tall == pytest.approx(width / height, rel=0.02)
            assert max(wide / room[0], tall / room[1]) == pytest.approx(1, abs=0.02)


def test_the_filmstrip_shows_all_images_of_all_runs(comfy_page: ComfyPage) -> None:
    page = comfy_page.page
    (node,) = empty(comfy_page, "ARDecode")
    sent = finished(node, 64, 64, 1, 2)
    page.evaluate(SEND, ["executed", sent])
    shots = page.locator(".arg-shot")
    shots.first.wait_for()
    finals = [image["final"] for run in sent["output"]["ar_viewer"] for image in run["pictures"]]
    assert shots.count() == len(finals) == 7
    names = [shot.get_attribute("aria-label") or "" for shot in shots.all()]
    assert names[0].startswith("run 1, heart, seed 5") and names[6].startswith("run 3, heart")
    for at, final in enumerate(finals):
        shots.nth(at).click()
        assert page.locator(".arg-frame").get_attribute("src") == final
    shots.nth(6).press("ArrowLeft")
    assert shots.nth(5).get_attribute("aria-selected") == "true"
    page.locator(".arg-stage").click()
    full = page.locator(".arg-full")
    full.wait_for()
    assert full.get_attribute("src") == finals[5]
    page.keyboard.press("ArrowRight")
    assert full.get_attribute("src") == finals[6]
    page.keyboard.press("Escape")
    full.wait_for(state="detached")
    page.locator(".arg-stage").press("Enter")  # the same by keyboard
    full.wait_for()
    page.keyboard.press("Escape")
    full.wait_for(state="detached")


def test_earlier_seeds_can_be_used_again(comfy_page: ComfyPage) -> None:
    page = comfy_page.page
    broken = '() => localStorage.setItem(\'ARGuidance.seeds\', \'[{"seed": 5, "url": "http://x/y.png"}, 7, null]\')'
    page.evaluate(broken)  # a list edited by hand
    comfy_page.load(example("01 First image - no download")[1])
    page.evaluate(SET_WIDGET, ["ARSampler", "seed", 11])
    assert comfy_page.queue()["kind"] == "execution_success"
    page.locator(".arg-shot").first.wait_for()
    page.evaluate(SET_WIDGET, ["ARSampler", "seed", 12])
    assert comfy_page.queue()["kind"] == "execution_success"
    page.get_by_text("seed 12").first.wait_for()
    page.get_by_text("earlier seeds…").click()
    listed = page.locator(".arg-seeds .arg-shot")
    assert [text.split("\n")[-1] for text in listed.all_inner_texts()] == ["seed 12", "seed 11"]
    comfy_page.screenshot("seeds")
    listed.nth(1).click()
    page.locator(".arg-seeds").wait_for(state="detached")
    assert inputs(comfy_page, "ARSampler")["seed"] == 11
    page.evaluate(
        "() => { for (const s of ['x', '{}', '[1'] ) localStorage.setItem('ARGuidance.seeds', s); }"
    )
    page.get_by_text("earlier seeds…").click()
    page.get_by_text("No seed has been used yet in this browser.").wait_for()
    assert not [problem for problem in comfy_page.problems if ".mjs" in problem]


def test_the_picker_reads_what_is_typed(comfy_page: ComfyPage) -> None:
    page = comfy_page.page
    empty(comfy_page, "ARClassCondition")
    height = "() => window.app.graph.nodes[0].size[1]"
    before = page.evaluate(height)
    page.evaluate(SET_WIDGET, ["ARClassCondition", "classes", "face; heart"])
    page.locator(".arg-open").click()
    chosen = page.locator(".arg-chosen")
    page.wait_for_function("() => document.querySelectorAll('.arg-chosen').length === 2")
    page.locator('.arg-class[data-name="heart"]').click()
    assert chosen.all_inner_texts() == ["face"]
    page.evaluate(SET_WIDGET, ["ARClassCondition", "classes", "bird"])
    page.wait_for_function("() => document.querySelector('.arg-chosen')?.dataset.name === 'bird'")
    assert chosen.count() == 1 and page.evaluate(height) > before
    page.locator(".arg-search").fill("cat")  # an everyday word
    assert page.locator('.arg-class[data-name="animal face"]').is_visible()
    assert not page.locator('.arg-class[data-name="heart"]').is_visible()
    page.locator(".arg-search").fill("xyzzy")
    page.get_by_text("No class of the bundled model is called 'xyzzy'.").wait_for()
    page.locator(".arg-open").click()
    assert page.evaluate(height) == before


def test_nothing_is_cut_off(screen: ComfyPage, request: pytest.FixtureRequest) -> None:
    page = screen.page
    *_, node = empty(screen, *NODES)
    page.wait_for_function(
        "() => [...document.querySelectorAll('.arg-schedule')].every((plot) => plot.childNodes.length)"
    )
    name = request.node.callspec.id.replace(" ", "-")
    screen.screenshot(f"fresh-{name}")
    shown = page.evaluate(CUT)
    assert len(shown) == len(NODES)
    assert [entry for entry in shown if entry[2] > entry[1]] == []
    page.evaluate(SEND, ["executed", finished(node, 64, 64)])
    look_inside(screen)
    for node_width in (300, 700):
        page.evaluate(WIDEN, [node, node_width])
        page.wait_for_timeout(500)  # Nodes 2.0 of the oldest frontend stays as narrow as it was
        page.locator(".arg-maps").select_option("softcfg 2 direction")
        page.locator(".arg-stage").dispatch_event("pointermove", {"clientX": 1, "clientY": 1})
        page.locator(".arg-candidate.arg-drawn").first.wait_for(state="attached")
        screen.screenshot(f"full-{node_width}-{name}")
        shown = page.evaluate(CUT)
        assert [entry for entry in shown if entry[2] > entry[1]] == []


def test_maps_in_chinese(comfy_page: ComfyPage) -> None:
    page = comfy_page.page
    assert page.evaluate(SAID, list(MAPS)) == list(MAPS)
    page.evaluate("() => { window.app.extensionManager.setting.get = () => 'zh'; }")
    said = dict(zip(MAPS, page.evaluate(SAID, list(MAPS)), strict=True))
    assert len(set(said.values())) == len(MAPS)
    for name, words in said.items():
        assert any("\u4e00" <= letter <= "\u9fff" for letter in words), name
        assert not any(word in words for word in ("direction", "attention", "nudge")), name
    assert (said["igg 3 direction"], said["attention 2"]) == ("IGG 3 方向", "注意力 2")
