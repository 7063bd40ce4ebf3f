"""What is shown in the user's language: nodes (locales/), panels (web/js/words.mjs), help pages (web/docs/)."""

import re
from pathlib import Path

import pytest
from ar_guidance.tools import untranslated
from ar_guidance.tools.untranslated import (
    TABLES,
    asked_words,
    choice_words,
    lacking_choices,
    lacking_words,
    node_words,
    panel_words,
    places,
    unnamed_inputs,
)

ROOT = Path(__file__).resolve().parents[2]
NODES = node_words("en")
OTHERS = sorted(folder.name for folder in (ROOT / "locales").iterdir() if folder.name != "en")
NUMBER = r"\d+(?:\.\d+)?"
OPTION = (
    r"(?<![\w’])'([^']+)'(?!\w)"  # values of a combo stay as they are: the host knows no others
)


def read(language: str, name: str) -> dict[str, str]:
    """All texts of a language's file."""
    return dict(places(node_words(language, name)))


def test_every_input_and_output_has_a_tooltip() -> None:
    assert len(NODES) >= 27
    for node, words in NODES.items():
        assert words["display_name"].startswith("AR ") and words["description"]
        for kind in ("inputs", "outputs"):
            for name, shown in words.get(kind, {}).items():
                if name != "control_after_generate":  # the frontend's own
                    assert len(shown.get("tooltip", "")) > 8, f"{node}: {kind} {name}"


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("name", ["nodeDefs.json", "main.json"])
def test_other_languages_say_the_same(language: str, name: str) -> None:
    english, other = read("en", name), read(language, name)
    assert list(other) == [place for place in english if place in other]  # what lacks stays English
    for place, said in other.items():
        text = english[place]
        assert said.strip() == said != "", place
        assert not re.search(r"[@{}|]", text + said), (
            f"{place}: the frontend reads these as its own"
        )
        if place.endswith(("tooltip", "description")):
            assert sorted(re.findall(NUMBER, said)) == sorted(re.findall(NUMBER, text)), place
            missing = [option for option in re.findall(OPTION, text) if option not in said]
            assert not missing, f"{place}: {missing}"


@pytest.mark.parametrize("language", ["zh", "zh-TW"])
def test_chinese_is_chinese(language: str) -> None:
    for place, said in read(language, "nodeDefs.json").items():
        if place.endswith(("tooltip", "description")):
            assert re.search(r"[\u4e00-\u9fff]", said), place
            assert not re.search(r"[\u4e00-\u9fff][,;:.!?(]", said), f"{place}: Latin punctuation"


@pytest.mark.parametrize("node", sorted(NODES))
def test_the_help_page_names_every_input(node: str) -> None:
    page = (ROOT / "web" / "docs" / f"{node}.md").read_text(encoding="utf-8")
    assert unnamed_inputs(page, NODES[node].get("inputs", {})) == []


# --- panels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", TABLES)
def test_the_panels_words_are_those_that_are_asked_for(language: str) -> None:
    words, asked = panel_words(language), asked_words()
    assert len(asked) >= 20 and len(set(asked) & words.keys()) >= 20
    for text, said in words.items():
        assert sorted(re.findall(r"\{\d\}", said)) == sorted(re.findall(r"\{\d\}", text)), text


def test_what_a_language_lacks_is_listed(monkeypatch) -> None:
    """A node, one of its inputs, a text of a panel and a choice that nobody has translated."""
    english = node_words("en")
    english["ARNew"] = {"display_name": "AR New"}
    english["ARGrid"]["inputs"]["novel"] = {"name": "novel", "tooltip": "Something new."}
    assert lacking_words(english, english) == []
    added = ["ARNew", "ARGrid/inputs/novel/name", "ARGrid/inputs/novel/tooltip"]
    for language in OTHERS:
        before = lacking_words(node_words("en"), node_words(language))
        assert set(lacking_words(english, node_words(language))) == {*before, *added}
        assert lacking_choices([("schedule", ["constant", "a novel one"])], language) == [
            "a novel one"
        ]
    monkeypatch.setattr(untranslated, "asked_words", lambda: ["delete", "Never said."])
    monkeypatch.setattr(untranslated, "node_words", lambda _: english)
    for listed in untranslated.untranslated([]).values():
        assert "web/docs/ARNew" in " ".join(listed)
        assert any(re.fullmatch(r"web/docs/ARGrid/zh.*\.md: novel", one) for one in listed)
        assert "Never said." in listed and "delete" not in listed


def test_every_word_is_there_in_traditional_letters_too() -> None:
    assert read("zh", "nodeDefs.json").keys() == read("zh-TW", "nodeDefs.json").keys()
    assert read("zh", "main.json").keys() == read("zh-TW", "main.json").keys()
    for words in (panel_words, choice_words):
        simplified, traditional = words("zh"), words("zh-TW")
        assert simplified.keys() == traditional.keys() and len(simplified) > 50, (
            "run: python -m tools.traditional"
        )
        assert sum(simplified[key] != traditional[key] for key in simplified) > len(simplified) / 3
    pages = {path.parent.name for path in (ROOT / "web" / "docs").glob("*/zh.md")}
    assert pages == {path.parent.name for path in (ROOT / "web" / "docs").glob("*/zh-TW.md")}


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "web" / "docs").glob("*/zh*.md")),
    ids=lambda path: f"{path.parent.name} {path.stem}",
)
def test_a_chinese_help_page_is_chinese(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    assert len(re.findall(r"[\u4e00-\u9fff]", page)) > 80
    for image in re.findall(r"\]\(([^)]+\.png)\)", page):
        assert (path.parents[1] / image).is_file(), image  # as the frontend resolves it
