"""Help pages in other languages: every page there is, with the inputs, tables, images and sources of the English one."""

import json
import re
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("language", ["zh", "zh-TW"])
@pytest.mark.parametrize("node", sorted(INPUTS))
def test_every_page_says_as_much(node: str, language: str) -> None:
    page, inputs = PAGES / node / f"{language}.md", frozenset(INPUTS[node])
    assert page.is_file(), f"{page.relative_to(PAGES)} is missing"
    english = facts((PAGES / f"{node}.md").read_text("utf-8"), inputs)
    assert facts(page.read_text("utf-8"), inputs) == english
