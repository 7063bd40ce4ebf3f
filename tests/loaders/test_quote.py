"""What other people wrote never breaks a message: one line, short, of letters the log can print."""

import sys

import pytest
from ar_guidance.loaders.quote import LONGEST_MESSAGE, listed, message, quoted, reason
from hypothesis import given
from hypothesis import strategies as st


@given(st.text(max_size=400))
def test_every_text_becomes_one_short_printable_line(text: str) -> None:
    shown = quoted(text)
    assert len(shown.splitlines()) <= 1 and shown.isprintable()
    shown.encode(sys.__stdout__.encoding)  # type: ignore[union-attr]


def test_a_key_of_a_megabyte_is_shortened_and_its_ends_are_kept() -> None:
    shown = quoted("begin" + "x" * 1_000_000 + "end")
    assert len(shown) < 120 and shown.startswith("begin") and "end (1,000,008 letters)" in shown


def test_line_breaks_and_escapes_do_not_hide_what_follows() -> None:
    assert quoted("a\nb\x1b[2Jc\u2028d") == r"a\nb\x1b[2Jc\u2028d"


def test_a_terminal_without_these_letters_gets_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ascii:
        encoding = "ascii"

    monkeypatch.setattr(sys, "__stdout__", Ascii())
    assert quoted("\u732b \u00d7") == r"\u732b \xd7"


def test_messages_keep_their_own_lines_and_an_end() -> None:
    assert message("one\ntwo\x00") == "one\ntwo\\x00"
    assert len(message("x" * 10**6)) <= LONGEST_MESSAGE


def test_values_without_a_text_are_named_by_their_kind() -> None:
    assert quoted(10**5000) == "a value of type int"
    assert listed(["a", "b", "c", "d"]) == "a, b, c and 1 more"
    assert reason(KeyError("k")) == "k is missing" and reason(ValueError()) == "ValueError"
