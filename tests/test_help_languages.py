"""Help pages in other languages keep the inputs, tables, images and sources of the English one.

What is not translated is shown in English: `python -m tools.locales` lists it (`tests/nodes/test_locales.py`).
"""

import json
import re
from pathlib import Path

import pytest
from ar_guidance.tools.untranslated import unnamed_inputs

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "web" / "docs"
INPUTS = {
    node: words["inputs"].keys()
    for node, words in json.loads((ROOT / "locales/en/nodeDefs.json").read_text("utf-8")).items()
}


def facts(text: str, inputs: frozenset[str]) -> dict[str, list[str]]:
    """What a translation keeps: inputs in order, cells of every row, images, papers, commands."""
    text = re.sub(r"^\|.*\n(?=\|-)", "", text, flags=re.M)  # heads of tables are translated
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    names = [re.split(r"[（(]", row[0])[0].strip() for row in rows]
    return {
        "inputs": [name for cell in names for name in cell.split(", ") if name in inputs],
        "cells": [str(len(row)) for row in rows],
        "images": re.findall(r"\]\((images/[\w.-]+)\)", text),
        "papers": sorted(set(re.findall(r"arxiv\.org/abs/[\d.]+", text))),
        "commands": sorted(set(re.findall(r"`(python [^`]+)`", text))),
    }


def known_rows(text: str, lacking: list[str]) -> str:
    """A page without the table rows of inputs that a translation does not have."""
    rows = "|".join(map(re.escape, lacking)) or "(?!)"
    return re.sub(rf"^\| (?:{rows}) \|.*\n?", "", text, flags=re.M)


@pytest.mark.parametrize(
    "page", sorted(PAGES.glob("*/zh*.md")), ids=lambda page: f"{page.parent.name} {page.stem}"
)
def test_a_page_says_as_much(page: Path) -> None:
    node, said = page.parent.name, page.read_text("utf-8")
    lacking = unnamed_inputs(said, INPUTS[node])
    english = known_rows((PAGES / f"{node}.md").read_text("utf-8"), lacking)
    inputs = frozenset(INPUTS[node])
    assert facts(said, inputs) == facts(english, inputs)


def test_a_row_that_is_not_translated_is_no_fault_and_another_is() -> None:
    inputs, english = frozenset(("one", "two")), "| one | 1 |\n| two | 2 |\n"
    for said, right in (("| one | 1 |\n", True), ("| one | 1 | 2 |\n", False)):
        lacking = unnamed_inputs(said, sorted(inputs))
        assert lacking == ["two"]
        kept = facts(known_rows(english, lacking), inputs)
        assert (facts(said, inputs) == kept) == right


def test_traditional_chinese_has_the_words_of_taiwan() -> None:
    """Another converter of the same import name changes the letters alone: an image is then no longer called as it is there."""
    made = [
        *ROOT.glob("web/docs/*/zh-TW.md"),
        *ROOT.glob("locales/zh-TW/*.json"),
        ROOT / "web" / "notes" / "zh-TW.json",
        ROOT / "web" / "js" / "words_tw.mjs",
    ]
    texts = {path: path.read_text("utf-8") for path in made}
    assert any("影像" in text for text in texts.values())
    assert [path for path, text in texts.items() if "影象" in text] == []
