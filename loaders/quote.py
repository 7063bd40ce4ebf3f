"""What other people wrote, as a message may show it: shortened, and of letters that every terminal and log here can print.

File names, keys, labels, prompts and settings reach our messages, the host's log and the browser. A line break in one would
hide what the message advises, a megabyte would bury it, and a letter that the log's encoding lacks stops ComfyUI's worker.
"""

import locale
import sys
from collections.abc import Iterable

LONGEST = 80  # letters shown of one thing
LONGEST_MESSAGE = 4000


def quoted(value: object, most: int = LONGEST) -> str:
    """One line of at most about `most` letters that shows a value.

    Longer texts keep their beginning and their end, and say how long they are.
    """
    text = value if isinstance(value, str) else _repr(value)
    if len(text) > most:
        head, tail = text[: most * 2 // 3], text[-most // 4 :]
        return f"{printable(head)}...{printable(tail)} ({len(text):,} letters)"
    return printable(text)


def listed(values: Iterable[object], most: int = 3) -> str:
    """The first few of some values, and how many more there are."""
    known = list(values)
    more = f" and {len(known) - most:,} more" if len(known) > most else ""
    return ", ".join(quoted(value) for value in known[:most]) + more


def printable(text: str) -> str:
    """The text on one line, with escapes for control characters and for what a terminal or log here cannot write."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    for encoding in _encodings():
        shown = shown.encode(encoding, "backslashreplace").decode(encoding)
    return shown


def message(text: str) -> str:
    """A whole message: its own line breaks stay, the rest as `printable`, and no longer than anybody reads."""
    kept = (
        text if len(text) <= LONGEST_MESSAGE else f"{text[: LONGEST_MESSAGE - 20]} ... (shortened)"
    )
    return "\n".join(printable(line.expandtabs(4)) for line in kept.split("\n"))


def reason(error: BaseException, most: int = 200) -> str:
    """The first line of what an error says, or its kind where it says nothing."""
    text = (
        f"{error.args[0]} is missing" if isinstance(error, KeyError) and error.args else str(error)
    )
    lines = text.strip().splitlines()
    return quoted(lines[0], most) if lines else type(error).__name__


def _encodings() -> set[str]:
    """Encodings of what this process writes to: terminal and log files."""
    streams = (sys.__stdout__, sys.__stderr__)
    names = {getattr(stream, "encoding", None) for stream in streams}
    return {name for name in (*names, locale.getpreferredencoding(False)) if name}


def _repr(value: object) -> str:
    """What a value calls itself; never an error. Numbers of thousands of digits have no text in Python."""
    try:
        return str(value)
    except Exception:  # whatever someone else's object raises
        return f"a value of type {type(value).__name__}"
