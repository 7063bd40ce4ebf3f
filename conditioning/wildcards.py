"""Choices, comments and lists in what an artist types.

    {red|green|blue}      one of them, chosen by the seed; choices may hold choices, and one may be empty
    // to the line's end, /* or between these */      comments, left out
    \\{ \\| \\}           the signs themselves

The same text and seed give the same words, whatever else runs: the n-th choice of a text is drawn from (seed, n) alone.
"""

import re
from collections.abc import Iterator

from ..loaders.quote import quoted
from ..sampling.noise import mix, stream_key

COMMENT = re.compile(r"/\*.*?\*/|(?<![:\w])//[^\n]*", re.DOTALL)
SIGN = re.compile(r"\\[{}|]|[{}|]")
MOST = 100_000  # characters


def without_comments(text: str) -> str:
    """The text without comments. The // of an address such as https://example.org is none."""
    return COMMENT.sub("", text)


def chosen(text: str, seed: int) -> str:
    """The text with one of each group of choices.

    Raises:
        ValueError: a brace that is never closed, or never opened.
    """
    if len(text) > MOST:
        raise ValueError(f"the text has {len(text)} characters: at most {MOST} are read")
    signs = iter([(match.start(), match.group()) for match in SIGN.finditer(text)])
    return _Reader(text, seed).read(signs)


class _Reader:
    """One text and seed."""

    def __init__(self, text: str, seed: int) -> None:
        self.text, self.seed = text, seed
        self.groups = 0

    def read(self, signs: Iterator[tuple[int, str]]) -> str:
        """Everything, without recursion: groups may lie in each other as deep as a text is long."""
        levels: list[list[str]] = [[""]]  # of every open group, its choices so far
        numbers: list[int] = []
        done = 0
        for place, sign in signs:
            levels[-1][-1] += self.text[done:place]
            done = place + len(sign)
            if sign[0] == "\\":
                levels[-1][-1] += sign[1]
            elif sign == "{":
                levels.append([""])
                numbers.append(self.groups)
                self.groups += 1
            elif len(levels) == 1:
                self._outside(sign, place, levels)
            elif sign == "|":
                levels[-1].append("")
            else:
                choices = levels.pop()
                drawn = mix(stream_key(self.seed, numbers.pop())) % len(choices)
                levels[-1][-1] += choices[drawn].strip() if len(choices) > 1 else choices[0]
        if len(levels) > 1:
            raise ValueError(
                f"the text has a {{ without its }}: '{quoted(self.text, 60)}'. Close it, or write \\{{ for the character itself"
            )
        return levels[0][0] + self.text[done:]

    def _outside(self, sign: str, place: int, levels: list[list[str]]) -> None:
        """A sign that opens or closes nothing."""
        if sign == "}":
            near = quoted(self.text[max(place - 30, 0) : place + 1], 60)
            raise ValueError(
                f"the text has a }} without its {{: '{near}'. Open it, or write \\}} for the character itself"
            )
        levels[-1][-1] += sign


def resolved(text: str, seed: int) -> str:
    """What a text with comments and choices says."""
    return chosen(without_comments(text), seed)


def by_line(text: str) -> tuple[str, ...]:
    """The lines that say something."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())
