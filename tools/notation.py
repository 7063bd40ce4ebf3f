"""Formulas as they are written in code, in letters that every console can show, and as they are printed."""

import re
import unicodedata

LETTERS = {
    "gamma": "GREEK SMALL LETTER GAMMA",
    "beta": "GREEK SMALL LETTER BETA",
    "eta": "GREEK SMALL LETTER ETA",
    "ell": "SCRIPT SMALL L",
    "Sigma ": "GREEK CAPITAL LETTER SIGMA",
    "u~": "LATIN SMALL LETTER U WITH TILDE",
    "^T": "MODIFIER LETTER CAPITAL T",
    "sqrt ": "SQUARE ROOT",
    "_perp": "UP TACK",
    "_par": "PARALLEL TO",
    "<-": "LEFTWARDS ARROW",
    " - ": "MINUS SIGN",
}


def printed(text: str) -> str:
    """`gamma (c - u)` as a printer sets it; what stands between backquotes is a name and stays.

    A prime is the apostrophe behind a single letter, as in D' and gamma', with no letter behind it.
    """
    parts = text.split("`")
    parts[::2] = [_set(part) for part in parts[::2]]
    return "`".join(parts)


def _set(text: str) -> str:
    for written, name in LETTERS.items():
        sign, word = unicodedata.lookup(name), written[:1].isalpha()
        pattern = (r"\b" if word else "") + re.escape(written)
        pattern += r"\b" if written[-1:].isalpha() and word else ""
        text = re.sub(pattern, f" {sign} " if written == " - " else sign, text)
    return re.sub(r"(?<!\w)(\w)'(?!\w)", rf"\1{unicodedata.lookup('PRIME')}", text)
