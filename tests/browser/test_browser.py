"""Workflows opened, compared and run in the frontend that belongs to each host."""

from __future__ import annotations

from typing import Any

import pytest
from ar_guidance.tests.browser.comfy_page import ComfyPage
from ar_guidance.tests.hosts.examples import (
    EXAMPLES,
    EXAMPLES_WITH_FILES,
    example,
    flat_colour,
    flat_colour_graph,
)
from ar_guidance.tests.hosts.running import RunningHost

pytestmark = pytest.mark.browser
SHOWS_IMAGE = "() => window.app.graph.nodes.some((node) => node.comfyClass === 'SaveImage' && node.imgs?.length)"


def without_titles(prompt: dict[str, Any]) -> dict[str, Any]:
    """An API-format prompt reduced to what decides the result.

    PreviewAny shows its text in a widget that the older frontend sends along, empty. The curve widget exists
    in the newer host only, and is read only where the schedule says so.
    """
    return {key: (node["class_type"], deciding(node["inputs"])) for key, node in prompt.items()}


def deciding(inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs of a node without those that are shown but not read."""
    unread = {"preview"} if inputs.get("schedule") == "curve" else {"preview", "curve"}
    return {name: value for name, value in inputs.items() if name not in unread}


def test_core_nodes_show_an_image(comfy_page: ComfyPage, host: RunningHost) -> None:
    comfy_page.load(flat_colour_graph(0x22AA55))
    assert without_titles(comfy_page.prompt()) == without_titles(flat_colour(0x22AA55))
    ended = comfy_page.queue()
    assert ended["kind"] == "execution_success", ended
    assert "flat_" in comfy_page.images_of(2)[0]
    assert comfy_page.screenshot(f"core-{host.version}").stat().st_size > 10_000


@pytest.mark.parametrize("stem", EXAMPLES + EXAMPLES_WITH_FILES)
def test_example_equals_its_api_twin(comfy_page: ComfyPage, stem: str) -> None:
    prompt, workflow = example(stem)
    comfy_page.load(workflow)
    assert without_titles(comfy_page.prompt()) == without_titles(prompt)


@pytest.mark.parametrize("stem", EXAMPLES[:1])
def test_example_shows_images(comfy_page: ComfyPage, host: RunningHost, stem: str) -> None:
    comfy_page.load(example(stem)[1])
    ended = comfy_page.queue()
    assert ended["kind"] == "execution_success", ended
    comfy_page.page.wait_for_function(SHOWS_IMAGE)
    assert comfy_page.screenshot(f"{stem}-{host.version}").stat().st_size > 10_000
