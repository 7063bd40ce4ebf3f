"""Text and signs of the panels against what is really behind them, in ComfyUI's dark and light themes.

axe leaves out what it cannot judge, such as text over a canvas. Here a background is what the boxes behind an element add up to,
down to the node's own colour. Wanted, as WCAG's level AA does: 4.5 for text, 3 for large text and for what must be seen to be used.
"""

from __future__ import annotations

import pytest
from ar_guidance.tests.browser.comfy_page import ComfyPage
from ar_guidance.tests.browser.test_accessibility import KINDS, compared, in_a_subgraph
from ar_guidance.tests.browser.test_search import MESSAGE, TRIED
from ar_guidance.tests.browser.test_viewer import SEND, empty, finished, look_inside

pytestmark = pytest.mark.browser
ROOTS = (".arg-viewer", ".arg-panel", ".arg-one-line", ".arg-dialog")
SIGNS = ".arg-point, .arg-curve, .arg-line, .arg-dot, .arg-here"
# [what, ratio, wanted, colour, background] of all that is seen and falls short, and how many were looked at.
MEASURE = """([roots, signs]) => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const read = (colour) => {  // any CSS colour -> [r, g, b, alpha]
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((value, at) => value * a + below[at] * (1 - a));
  const light = (rgb) => {
    const [r, g, b] = rgb.map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, other) => {
    const [high, low] = [light(one), light(other)].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  };
  const behind = (element) => {
    const painted = !element || (element.matches('.arg-home') && !element.closest('[data-node-id]'));
    if (painted) return read(window.LiteGraph.NODE_DEFAULT_BGCOLOR).slice(0, 3); // by the canvas beneath
    const own = read(getComputedStyle(element).backgroundColor);
    return own[3] > 0.99 ? own.slice(0, 3) : over(own, behind(element.parentElement));
  };
  const opacity = (element) => (element ? Number(getComputedStyle(element).opacity) * opacity(element.parentElement) : 1);
  const failed = [];
  let looked = 0;
  const judge = (element, what, colour, wanted) => {
    const below = behind(element), [r, g, b, a] = read(colour);
    const found = ratio(over([r, g, b, a * opacity(element)], below), below);
    looked += 1;
    if (found < wanted) failed.push([what, found.toFixed(2), wanted, colour, below.map(Math.round).join(' ')]);
  };
  for (const root of document.querySelectorAll(roots.join()))
    for (const element of [root, ...root.querySelectorAll('*')]) {
      const style = getComputedStyle(element);
      if (!element.getClientRects().length || style.visibility === 'hidden' || element.closest('[disabled]')) continue;
      const svg = element instanceof SVGElement;
      const text = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data.trim()).join('') || element.value || '';
      const large = parseFloat(style.fontSize) >= 24 ? 3 : 4.5;
      const name = `${element.getAttribute('class') ?? element.tagName}: ${String(text).slice(0, 30)}`;
      if (text && element.type !== 'range') judge(element, name, svg ? style.fill : style.color, large);
      if (element.matches(signs)) judge(element, name, element.matches('.arg-point, .arg-dot') ? style.fill : style.stroke, 3);
    }
  return { failed, looked }; }"""
THEME = "(name) => window.app.extensionManager.setting.set('Comfy.ColorPalette', name)"


def short(screen: ComfyPage) -> list:
    """What falls short of its contrast."""
    measured = screen.page.evaluate(MEASURE, [list(ROOTS), SIGNS])
    assert measured["looked"] > 10
    return measured["failed"]


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_all_can_be_read(screen: ComfyPage, theme: str, request: pytest.FixtureRequest) -> None:
    page = screen.page
    page.evaluate(THEME, theme)
    try:
        cfg, condition, search, compare, decode = empty(screen, *KINDS)
        page.locator(".arg-point[role=slider]").first.wait_for()
        page.wait_for_timeout(500)  # the theme's colours arrive
        assert short(screen) == []
        answer = {"scale": 8.07, "message": MESSAGE, "tried": TRIED}
        sent = finished(search, 64, 64) | {"output": {"ar_answer": [answer]}}
        page.evaluate(SEND, ["executed", sent])
        page.evaluate(SEND, ["executed", finished(compare, 64, 64) | {"output": compared(decode)}])
        page.evaluate(SEND, ["executed", finished(decode, 64, 64)])
        page.locator(".arg-shot").first.wait_for()
        assert short(screen) == []
        look_inside(screen)
        error = {"node_id": str(decode), "exception_message": "nearest is 64 x 64"}
        page.evaluate(SEND, ["execution_error", error])
        assert short(screen) == []
        page.locator(".arg-open").dispatch_event("click")  # another node may lie over it
        page.locator(".arg-class").first.wait_for()
        assert short(screen) == []
        decode = in_a_subgraph(screen)
        page.evaluate(SEND, ["executed", finished(decode, 64, 64)])
        page.locator(".arg-shot:visible").first.wait_for()
        page.evaluate(SEND, ["execution_error", error | {"node_id": decode}])
        page.locator(".arg-wrong:visible").wait_for()
        assert short(screen) == []
        screen.screenshot(f"contrast-{request.node.callspec.id.replace(' ', '-')}")
    finally:
        page.evaluate(THEME, "dark")
