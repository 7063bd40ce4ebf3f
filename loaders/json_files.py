"""Settings and vocabularies beside a weight file: JSON that others wrote, of which only what it should hold is kept."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..models.parts.settings import Json
from .kinds import read_json_text
from .quote import quoted

TOKENIZER_SETTINGS, ADDED_TOKENS = "tokenizer_config.json", "added_tokens.json"
JSON_MOST = 1 << 26  # bytes of a settings or vocabulary file that are read
IDS_MOST = 1 << 24  # of a text vocabulary


def read_json(path: Path) -> dict[str, Json]:
    """A JSON object; {} where the file is not one (Infinity's config.json is not valid JSON)."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            text = file.read(JSON_MOST + 1)
        entries = read_json_text(text) if len(text) <= JSON_MOST else None
    except (OSError, ValueError):
        return {}
    return entries if isinstance(entries, dict) else {}


def ids_of(words: Mapping[str, object]) -> dict[str, int]:
    """Of a vocabulary those entries that are ids."""
    return {str(name): id for name, id in words.items() if type(id) is int and 0 <= id < IDS_MOST}


def added_tokens(folder: Path) -> dict[int, str]:
    """Tokens of a text tokenizer besides its vocabulary: id -> name, from its settings or `added_tokens.json`."""
    known = read_json(folder / TOKENIZER_SETTINGS).get("added_tokens_decoder")
    if isinstance(known, dict):
        tokens = {id: token for id, token in known.items() if isinstance(token, dict)}
        numbered = {id: token for id, token in tokens.items() if re.fullmatch(r"[0-9]{1,8}", id)}
        return {int(id): str(token.get("content")) for id, token in numbered.items()}
    return {id: name for name, id in ids_of(read_json(folder / ADDED_TOKENS)).items()}


def setting_like(example: object, value: object) -> Any:
    """A setting out of a header, if it is what the published one is: a number, a text, yes or no, a pair of numbers."""
    if isinstance(value, list):
        value = tuple(value)
    numbers = (int, float)
    pair = isinstance(value, tuple) and len(value) == 2 and all(type(v) in numbers for v in value)
    same = type(value) is type(example) or (type(value) in numbers and type(example) in numbers)
    if same or (example is None and (pair or value is None)):
        return value
    raise ValueError(f"{quoted(value)} stands for {quoted(example)}")
