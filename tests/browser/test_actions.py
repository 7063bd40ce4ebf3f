"""What can be done with an image of the filmstrip; candidates as patches; an AR Decode that nothing is wired behind."""

from __future__ import annotations

import io
from typing import Any

import pytest
from ar_guidance.tests.browser.comfy_page import LISTEN, ComfyPage
from ar_guidance.tests.browser.test_copies import own_problems
from ar_guidance.tests.browser.test_keeping import run_first
from ar_guidance.tests.browser.test_panels import SET_WIDGET
from ar_guidance.tests.hosts.examples import first_workflow
from PIL import Image

pytestmark = pytest.mark.browser
REMOVE_BEHIND = """() => {
  const { graph } = window.app;
  for (const node of [...graph.nodes]) if (!String(node.comfyClass ?? '').startsWith('AR')) graph.remove(node); }"""
# Of every patch its corner and its middle, as text.
PATCHES = """() => [...document.querySelectorAll('.arg-patch')].map((patch) => [1, 17].map((at) =>
  [...patch.getContext('2d').getImageData(at, at, 1, 1).data].join()))"""


def act(page: ComfyPage, name: str) -> None:
    """Press a button of the filmstrip."""
    page.page.locator(".arg-actions button", has_text=name).first.click()


def ended(page: ComfyPage) -> dict[str, Any]:
    """The run that was started by hand, once it has ended, as its nodes were queued."""
    done = page.page.wait_for_function("() => window.arEnded").json_value()
    assert done["kind"] == "execution_success", done
    prompt = page.prompt()
    return {node["class_type"]: node["inputs"] for node in prompt.values()} | {"": prompt}


def test_vary_draws_one_image_again_beside_it(comfy_page: ComfyPage) -> None:
    page = comfy_page.page
    run_first(comfy_page)
    page.locator(".arg-shot").nth(1).click()
    page.evaluate(LISTEN)
    act(comfy_page, "vary")
    made = ended(comfy_page)
    decodes = [i for i, node in made[""].items() if node["class_type"] == "ARDecode"]
    assert len(decodes) == 2
    assert made["ARKeepScales"]["ar_tokens"] == [decodes[0], 2]
    assert made["ARSeeds"]["reroll"] == "2" and made["ARSeeds"]["only_rerolled"] is True
    page.wait_for_function("() => document.querySelectorAll('.arg-strip').length === 2")
    page.wait_for_function("() => document.querySelectorAll('.arg-strip')[1].children.length === 1")
    assert own_problems(comfy_page) == []


def test_in_paint_draws_what_is_marked(comfy_page: ComfyPage) -> None:
    page = comfy_page.page
    run_first(comfy_page)
    act(comfy_page, "in-paint here")
    marks = page.locator(".arg-marks")
    marks.wait_for()
    assert page.locator(".arg-apply").is_disabled()
    box = marks.bounding_box()
    assert box is not None
    cell = {"x": box["width"] * 2.5 / 8, "y": box["height"] * 5.5 / 8}  # row 5, column 2 of 8 x 8
    marks.click(position=cell)
    page.evaluate(LISTEN)
    page.locator(".arg-apply").click()
    made = ended(comfy_page)
    name = made["LoadImageMask"]["image"]
    origin = page.evaluate("() => location.origin")
    reply = page.request.get(f"{origin}/view?filename={name}&type=input")
    mask = Image.open(io.BytesIO(reply.body())).convert("L")
    assert mask.size == (128, 128)  # 16 pixels for every token
    assert mask.getbbox() == (32, 80, 48, 96)
    (paint,) = (i for i, node in made[""].items() if node["class_type"] == "ARInpaint")
    assert made["ARSeeds"]["ar_sampling"] == [paint, 0] and made["ARSeeds"]["reroll"] == "1"
    assert own_problems(comfy_page) == []


def test_candidates_are_patches_of_the_image(comfy_page: ComfyPage) -> None:
    page = comfy_page.page
    comfy_page.load(first_workflow())
    page.evaluate(SET_WIDGET, ["ARDecode", "candidates", True])
    assert comfy_page.queue()["kind"] == "execution_success"
    page.locator(".arg-look").click()
    page.locator(".arg-stage").hover()
    page.locator(".arg-patch").nth(9).wait_for()
    patches = page.evaluate(PATCHES)
    assert len({corner for corner, _ in patches}) == 1  # the image around the token
    assert len({middle for _, middle in patches}) > 1  # each as its token would colour it


def test_ar_decode_alone_shows_its_images(comfy_page: ComfyPage) -> None:
    page = comfy_page.page
    comfy_page.load(first_workflow())
    page.evaluate(REMOVE_BEHIND)
    sent = comfy_page.queue()
    assert sent["kind"] == "execution_success", sent
    assert {node["class_type"][:2] for node in comfy_page.queued.values()} == {"AR"}
    page.locator(".arg-shot").first.wait_for()
    assert page.locator(".arg-frame").is_visible()
