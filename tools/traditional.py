#!/usr/bin/env python3
"""Write the Traditional Chinese words and help pages from the Simplified ones.

    pip install opencc && python -m tools.traditional

Makes `locales/zh-TW/`, `web/notes/zh-TW.json`, `web/js/words_tw.mjs` and `web/docs/<Node>/zh-TW.md` of `locales/zh/`, `web/notes/zh.json`, the tables of
`web/js/words.mjs`, `web/js/option_words.mjs` and `web/js/messages.mjs`, and `web/docs/<Node>/zh.md`, with OpenCC's words of Taiwan (configuration s2twp). Nothing of it is
written by hand.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STRING = r'"(?:[^"\\]|\\.)*"'
QUOTES = str.maketrans("\u201c\u201d", "\u300c\u300d")  # as quotes are written in Taiwan
HEAD = "// Made by tools/traditional.py from words.mjs, option_words.mjs and messages.mjs.\n"


def converter() -> Callable[[str], str]:
    """From Simplified to Taiwan's words and letters."""
    from opencc import OpenCC  # pyright: ignore[reportMissingImports]

    convert = OpenCC("s2twp").convert
    if convert("图像") != "影像":  # another package of the same import name, with other words
        raise SystemExit(
            "this is not the package 'opencc', or it lacks Taiwan's words: pip install opencc"
        )
    return lambda text: convert(text).translate(QUOTES)


def converted(value: Any, convert: Callable[[str], str]) -> Any:
    """The same with every text converted; keys stay."""
    if isinstance(value, dict):
        return {key: converted(part, convert) for key, part in value.items()}
    return convert(value)


def table(text: str, start: str, end: str) -> list[tuple[str, str]]:
    """The (key, text) pairs of a table in a script, both as they are written there."""
    body = text.partition(start)[2].partition(end)[0]
    return re.findall(rf"^\s+({STRING}|[\w$]+): ({STRING}),$", body, re.M)


def script(convert: Callable[[str], str]) -> str:
    """`words_tw.mjs`."""
    folder = ROOT / "web" / "js"
    words = table((folder / "words.mjs").read_text("utf-8"), "zh: {", "\n  },")
    options = table((folder / "option_words.mjs").read_text("utf-8"), "OPTIONS_ZH = {", "\n};")
    messages = table((folder / "messages.mjs").read_text("utf-8"), "MESSAGES_ZH = {", "\n};")
    made = HEAD
    tables = (("WORDS_TW", words), ("OPTIONS_TW", options), ("MESSAGES_TW", messages))
    for name, pairs in tables:
        lines = "".join(f"  {key}: {convert(text)},\n" for key, text in pairs)
        made += f"\nexport const {name} = {{\n{lines}}};\n"
    return made


def main() -> None:
    convert = converter()
    for path in sorted((ROOT / "locales" / "zh").glob("*.json")):
        made = converted(json.loads(path.read_text("utf-8")), convert)
        target = ROOT / "locales" / "zh-TW" / path.name
        target.parent.mkdir(exist_ok=True)
        target.write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", "utf-8")
    notes = converted(json.loads((ROOT / "web/notes/zh.json").read_text("utf-8")), convert)
    text = json.dumps(notes, indent=1, ensure_ascii=False) + "\n"
    (ROOT / "web/notes/zh-TW.json").write_text(text, "utf-8")
    (ROOT / "web" / "js" / "words_tw.mjs").write_text(script(convert), "utf-8")
    for path in sorted((ROOT / "web" / "docs").glob("*/zh.md")):
        path.with_name("zh-TW.md").write_text(convert(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
