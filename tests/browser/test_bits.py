"""The viewer of a model whose tokens are bits: it has no list of candidates, and says so."""

from __future__ import annotations

import pytest
import torch
from ar_guidance.guidance.record import TraceRecorder
from ar_guidance.imaging.viewer import Viewer
from ar_guidance.tests.browser.comfy_page import ComfyPage
from ar_guidance.tests.browser.test_schedule import ADD

pytestmark = pytest.mark.browser
SEND = """([id, payload]) => {
  const { api } = window.comfyAPI.api;
  const detail = { node: String(id), display_node: String(id), output: { ar_viewer: [payload] } };
  api.dispatchEvent(new CustomEvent('executed', { detail })); }"""


def payload(bits: bool, low: float) -> dict:
    """A run of one scale of 2 x 2 tokens, whose smallest and largest push are `low` and four times that."""
    recorder = TraceRecorder(((2, 2),))
    recorder.add("added", 0, lambda: torch.tensor([[1.0, 2.0, 3.0, 4.0]]) * low)
    viewer = Viewer(recorder, None, candidates=True, bits=bits)
    return viewer.payload(torch.rand(1, 64, 64, 3), torch.randn(1, 3, 2, 2), recorder.finish())


def test_bits_have_no_candidates(comfy_page: ComfyPage) -> None:
    page = comfy_page.page
    comfy_page.load({"nodes": [], "links": [], "version": 0.4})
    node = page.evaluate(ADD, "ARDecode")
    page.evaluate("() => window.app.extensionManager.command.execute('Comfy.Canvas.FitView')")
    for bits, low in ((True, 1.0), (False, 2.0)):
        page.evaluate(SEND, [node, payload(bits, low)])
        if page.locator(".arg-look").get_attribute("aria-pressed") == "false":
            page.locator(".arg-look").dispatch_event("click")
        page.get_by_text(f"added {low:g} – {4 * low:g}").wait_for()
        page.locator(".arg-stage").dispatch_event("pointermove", {"clientX": 1, "clientY": 1})
        said = page.locator(".arg-token").inner_text()
        assert "token row 1, column 1" in said
        assert ("tokens are bits" in said) is bits
