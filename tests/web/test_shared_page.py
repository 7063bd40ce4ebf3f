"""The web part keeps to itself in a page that all packs share, and calls nothing the newest frontend warns of."""

import re
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).resolve().parents[2] / "web" / "js").glob("*js"))
SHARED = {  # what other packs would notice (comfy-test lint asks the same)
    "a listener on the whole page": r"\bdocument(\.\w+)*\.addEventListener\(",
    "an element outside the pack's own": r"\bdocument\.[\w.]*(append|appendChild|prepend|insertBefore|replaceChildren)\(",
    "a style sheet for all": r"\.adoptedStyleSheets\s*=[^=]",
    "a global name": r"\b(window|globalThis)\.\w+\s*=[^=]",
    "a function of others replaced": r"\b(app|api|LiteGraph|LGraphCanvas|LGraphNode)(\.\w+)+\s*=[^=>]",
}
DEPRECATED = {  # of frontend 1.58.1, by what its console says
    "input.link": r"\binput\.link\b|\.link\s*[!=]==?\s*null|inputs(\?\.)?\[[^]]*\]\??\.link\b",
    "output.links": r"\boutput\.links\b|outputs\[[^]]*\]\??\.links\b",
    "selected_nodes": r"\.selected_nodes\b",
    "a function as a widget's values": r"\bvalues:\s*(\(|function)",
    "setSizeForImage": r"setSizeForImage",
    "inputEl": r"\.inputEl\b",
    "checkState": r"\.checkState\(",
    "captureInput": r"captureInput",
}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_nothing_shared_is_touched_and_nothing_deprecated_used(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    for what, pattern in (SHARED | DEPRECATED).items():
        found = [line.strip() for line in lines if re.search(pattern, line)]
        assert not found, (what, found)


def test_the_patterns_find_what_they_are_for() -> None:
    wrong = """document.addEventListener("x", y)
document.head.append(style)
document.adoptedStyleSheets = []
window.mine = 1
api.getWorkflowTemplates = async () => {}
if (input.link != null) return
output.links.length
canvas.selected_nodes
{ values: () => [] }
node.setSizeForImage()
widget.inputEl
tracker.checkState()
canvas.captureInput()""".splitlines()
    for (what, pattern), line in zip((SHARED | DEPRECATED).items(), wrong, strict=True):
        assert re.search(pattern, line), what
