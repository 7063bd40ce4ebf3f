"""Captions as LlamaGen's text-to-image networks were trained on: lower case, without links, markup, codes and odd signs.

Cleaning is applied twice, as in training. Not done here: repair of wrongly decoded text (the training used `ftfy`).
"""

import html
import re
from html.parser import HTMLParser
from urllib.parse import unquote_plus

_FILES = "png|jpe?g|bmp|webp|eps|pdf|apk|mp4"
_DOMAINS = "com|co|ru|net|org|edu|gov|it"
_CJK = "\u31c0-\u31ef\u31f0-\u31ff\u3200-\u32ff\u3300-\u33ff\u3400-\u4dbf\u4dc0-\u4dff\u4e00-\u9fff"
_DASHES = "\u002d\u058a\u05be\u1400\u1806\u2010-\u2015\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u301c\u3030\u30a0\ufe31\ufe32\ufe58\ufe63\uff0d"

# Before markup is unescaped a second time: (what, by what), in this order.
_SIGNS = [
    (rf"(?:https?:/{{1,3}}|www\.)[\w.\-/]*|\b[a-z0-9.\-]+\.(?:{_DOMAINS})\b[\w/\-]*", ""),  # links
    (r"@\w+\b", ""),
    (rf"[{_CJK}]+", ""),
    (rf"[{_DASHES}]+", "-"),
    ("[\u00ab\u00bb\u201c\u201d\u00a8`\u00b4]", '"'),
    ("[\u2018\u2019]", "'"),
    (r"\b\d{1,3}(?:\.\d{1,3}){3}\b", " "),  # network addresses
    (r"\d:\d\d\s+$", ""),
    (r"\\n", " "),
    (r"#(?:\d{1,3}|\d{5,})\b|\b\d{6,}\b", ""),  # numbers that stand for something else
    (rf"\S+\.(?:{_FILES})\b", ""),
    (r"[\"']{2,}", '"'),
    (r"\.{2,}", " "),
    (r"[#®•©™&@·º½¾¿¡§~()\[\]{}|\\/*]+", " "),
    (r"\s+\.\s+", " "),
]
_JOINTS = re.compile("[-_]")
# Codes of products and sizes, phrases of shops, what scrapers left behind.
_CODES = [
    (r"\b[a-z]{1,3}\d{3,15}\b|\b[a-z]+\d+[a-z]+\b|\b\d+[a-z]+\d+\b", ""),
    (r"(?:worldwide\s+)?(?:free\s+)?shipping", ""),
    (r"(?:free\s)?download(?:\sfree)?", ""),
    (r"\bclick\b\s(?:for|on)\s\w+", ""),
    (rf"\b(?:{_FILES})(?:\simages?)?\b", ""),
    (r"\bpage\s+\d+\b", ""),
    (r"\b\d*[a-z]+\d+[a-z]+\d+[a-z\d]*\b", " "),
    (r"\b\d+\.?\d*[x\u0445\u00d7]\d+\.?\d*\b", ""),
]
_SPACES = [
    (r"\b\s+:\s+", ": "),
    (r"(\D[,./])\b", r"\1 "),
    (r"\s+", " "),
]
_ENDS = [
    (r"^[\"'](.+)[\"']$", r"\1"),  # quoted as a whole
    (r"^['_,\-:;]", ""),
    (r"['_,\-:+]$", ""),
    (r"^\.\S+$", ""),
]


def clean_caption(text: str) -> str:
    """A prompt as the training's captions look."""
    return _clean(_clean(text))


def _clean(text: str) -> str:
    text = unquote_plus(text).strip().lower().replace("<person>", "person")
    text = _replaced(_without_markup(text), _SIGNS)
    if len(_JOINTS.findall(text)) > 3:  # words joined by hyphens, as in file names and addresses
        text = _JOINTS.sub(" ", text)
    text = html.unescape(html.unescape(text)).strip()
    text = _replaced(_replaced(text, _CODES), _SPACES).strip()
    return _replaced(text, _ENDS).strip()


def _replaced(text: str, rules: list[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        text = re.sub(pattern, replacement, text, flags=re.DOTALL)
    return text


class _Text(HTMLParser):
    """Keeps what stands between tags."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)


def _without_markup(text: str) -> str:
    reader = _Text()
    reader.feed(text)
    reader.close()
    return "".join(reader.parts)
