"""What can be done with an image of the filmstrip, and candidates as patches of it."""

from __future__ import annotations

from typing import Any

import pytest
from ar_guidance.tests.browser.comfy_page import LISTEN, ComfyPage
from ar_guidance.tests.browser.test_copies import own_problems
from ar_guidance.tests.browser.test_keeping import run_first
from ar_guidance.tests.browser.test_panels import SET_WIDGET
from ar_guidance.tests.hosts.examples import first_workflow

pytestmark = pytest.mark.browser
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
