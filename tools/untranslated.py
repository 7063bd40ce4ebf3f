"""What other languages lack. It is shown in English and listed by `python -m tools.locales`; nothing fails for it."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from .pack import ROOT

LOCALES, SCRIPTS, PAGES = ROOT / "locales", ROOT / "web" / "js", ROOT / "web" / "docs"
STRING = r'"((?:[^"\\]|\\.)*)"'
FILES_AND_NAMES = {"label", "size", "checkpoint", "tokenizer", "file", "precision", "colours"}
AS_IT_IS = re.compile(
    r"softmax|bundled|.*\..*|.* direction|.* \d"
)  # and maps named as their method
TABLES = {  # (file, where its table starts, where it ends) of the panels' words and of the choices in lists
    "zh": (("words.mjs", "zh: {", "\n  },"), ("option_words.mjs", "const OPTIONS_ZH = {", "\n}")),
    "zh-TW": (
        ("words_tw.mjs", "export const WORDS_TW = {", "\n}"),
        ("words_tw.mjs", "export const OPTIONS_TW = {", "\n}"),
    ),
}


def places(table: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a file with its place, such as ARGrid/inputs/title/tooltip."""
    for key, value in table.items():
        place = f"{path}/{key}".strip("/")
        yield from places(value, place) if isinstance(value, dict) else [(place, value)]


def node_words(language: str, name: str = "nodeDefs.json") -> dict[str, Any]:
    """A language's words for the nodes."""
    return json.loads((LOCALES / language / name).read_text(encoding="utf-8"))


def lacking_words(english: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Nodes that are not in the other language at all, and places of single texts that are not."""
    whole = [node for node in english if node not in other]
    known = {place for place, _ in places(other)}
    single = [place for place, _ in places(english) if place not in known]
    return whole + [place for place in single if place.split("/")[0] not in whole]


def script_table(file: str, start: str, end: str) -> dict[str, str]:
    """A table of one of the panels' scripts: {English: the other language}."""
    text = (SCRIPTS / file).read_text(encoding="utf-8")
    body = text.partition(start)[2].partition(end)[0]
    pairs = re.findall(rf"^\s+(?:{STRING}|([\w$]+)): {STRING},$", body, re.M)
    return {quoted or plain: said for quoted, plain, said in pairs}


def panel_words(language: str) -> dict[str, str]:
    """What the panels say."""
    return script_table(*TABLES[language][0])


def choice_words(language: str) -> dict[str, str]:
    """Choices of the nodes' lists."""
    return script_table(*TABLES[language][1])


def asked_words() -> list[str]:
    """The English texts that the panels' scripts look up."""
    code = [path.read_text(encoding="utf-8") for path in sorted(SCRIPTS.iterdir())]
    calls = re.findall(r"\bsay\(([^\n]*)", "\n".join(code))
    return list(dict.fromkeys(text for call in calls for text in _first_strings(call)))


def _first_strings(call: str) -> list[str]:
    """The texts that a call of `say` may look up, from what stands behind its bracket: one, or both of a choice."""
    found = re.match(rf"(?:[\w.]+ \? {STRING} : )?{STRING}", call)
    return [text for text in found.groups() if text] if found else []


def lacking_choices(offered: Iterable[tuple[str, Iterable[object]]], language: str) -> list[str]:
    """Of (input, choices) pairs those choices without words. Files, classes, sizes and proper names have none."""
    words = choice_words(language)
    named = (str(one) for name, given in offered if name not in FILES_AND_NAMES for one in given)
    left = dict.fromkeys(one for one in named if one not in words)
    return [one for one in left if not AS_IT_IS.fullmatch(one)]


def unnamed_inputs(page: str, inputs: Iterable[str]) -> list[str]:
    """Inputs of a node that its help page does not name, in a table or in its words."""
    own = [name for name in inputs if name != "control_after_generate"]  # that is the frontend's
    return [n for n in own if not re.search(rf"^\| [^|]*\b{n}\b|[*`]{n}[*`]", page, re.M)]


def lacking_pages(english: dict[str, Any], language: str) -> list[str]:
    """Help pages, and inputs on them, that are not in this language."""
    found = []
    for node, words in english.items():
        path, name = PAGES / node / f"{language}.md", f"web/docs/{node}/{language}.md"
        if not path.is_file():
            found.append(name)
            continue
        page = path.read_text(encoding="utf-8")
        found += [f"{name}: {one}" for one in unnamed_inputs(page, words.get("inputs", {}))]
    return found


def untranslated(offered: Iterable[tuple[str, Iterable[object]]]) -> dict[str, list[str]]:
    """Per further language what is still English: places in nodeDefs.json, texts of panels, choices of
    lists, help pages and inputs on them."""
    english, given = node_words("en"), [(name, list(choices)) for name, choices in offered]
    found = {
        language: [
            *lacking_words(english, node_words(language)),
            *(text for text in asked_words() if text not in panel_words(language)),
            *lacking_choices(given, language),
            *lacking_pages(english, language),
        ]
        for language in TABLES
    }
    return {language: lacking for language, lacking in found.items() if lacking}
