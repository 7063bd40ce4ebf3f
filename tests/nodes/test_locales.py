"""What is shown in the user's language: nodes (locales/), panels (web/js/words.mjs), help pages (web/docs/)."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCALES = ROOT / "locales"
NODES = json.loads((LOCALES / "en" / "nodeDefs.json").read_text(encoding="utf-8"))
OTHERS = sorted(folder.name for folder in LOCALES.iterdir() if folder.name != "en")
NUMBER = r"\d+(?:\.\d+)?"
OPTION = (
    r"(?<![\w’])'([^']+)'(?!\w)"  # values of a combo stay as they are: the host knows no others
)


def texts(table: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a file with its place, such as ARGrid/inputs/title/tooltip."""
    for key, value in table.items():
        place = f"{path}/{key}".strip("/")
        yield from texts(value, place) if isinstance(value, dict) else [(place, value)]


def read(language: str, name: str) -> dict[str, str]:
    """All texts of a language's file."""
    return dict(texts(json.loads((LOCALES / language / name).read_text(encoding="utf-8"))))


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
    for name in NODES[node].get("inputs", {}):
        if name != "control_after_generate":
            assert re.search(rf"^\| [^|]*\b{name}\b|[*`]{name}[*`]", page, re.M), (
                f"{node}.md does not name {name}"
            )


# --- panels -----------------------------------------------------------------------------------------------------------

STRING = r'"((?:[^"\\]|\\.)*)"'


def scripts() -> dict[str, str]:
    """The web part's files."""
    return {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "web/js").iterdir()}


def test_the_panels_words_are_translated() -> None:
    table = scripts()["words.mjs"].partition("zh: {")[2].partition("\n  },")[0]
    chinese = dict(re.findall(rf"^\s+{STRING}: {STRING},$", table, re.M))
    chinese |= dict(re.findall(rf"^\s+(\w+): {STRING},$", table, re.M))
    assert len(chinese) >= 25 and len(chinese) == len(table.strip().splitlines())
    code = "\n".join(text for name, text in scripts().items() if name != "words.mjs")
    asked = [text for call in re.findall(r"\bsay\(([^\n]*)", code) for text in first_strings(call)]
    assert len(asked) >= 20
    assert [text for text in asked if text not in chinese] == []
    for text, said in chinese.items():
        assert sorted(re.findall(r"\{\d\}", said)) == sorted(re.findall(r"\{\d\}", text)), text


def first_strings(call: str) -> list[str]:
    """The texts that a call of `say` may look up, from what stands behind its bracket: one, or both of a choice."""
    found = re.match(rf"(?:[\w.]+ \? {STRING} : )?{STRING}", call)
    return [text for text in found.groups() if text] if found else []


def table(script: str, start: str) -> dict[str, str]:
    """A table of one of the web part's files, from where it starts."""
    end = "\n}" if start.startswith(("export", "const")) else "\n  },"
    body = scripts()[script].partition(start)[2].partition(end)[0]
    return {
        quoted or plain: text
        for quoted, plain, text in re.findall(rf"^\s+(?:{STRING}|(\w+)): {STRING},$", body, re.M)
    }


def test_every_word_is_there_in_traditional_letters_too() -> None:
    assert read("zh", "nodeDefs.json").keys() == read("zh-TW", "nodeDefs.json").keys()
    assert read("zh", "main.json").keys() == read("zh-TW", "main.json").keys()
    for simplified, traditional in (
        (table("words.mjs", "zh: {"), table("words_tw.mjs", "export const WORDS_TW = {")),
        (
            table("option_words.mjs", "const OPTIONS_ZH = {"),
            table("words_tw.mjs", "export const OPTIONS_TW = {"),
        ),
    ):
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
def test_a_chinese_help_page_names_every_input(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    assert len(re.findall(r"[\u4e00-\u9fff]", page)) > 300
    for name in NODES[path.parent.name].get("inputs", {}):
        if name != "control_after_generate":
            assert re.search(rf"^\| [^|]*\b{name}\b|[*`]{name}[*`]", page, re.M), (
                f"{path} does not name {name}"
            )
    for image in re.findall(r"\]\(([^)]+\.png)\)", page):
        assert (path.parents[1] / image).is_file(), image  # as the frontend resolves it
