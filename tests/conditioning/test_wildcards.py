"""Choices by seed, comments and lines."""

import pytest
from ar_guidance.conditioning.wildcards import by_line, chosen, resolved, without_comments
from hypothesis import given
from hypothesis import strategies as st


def test_a_choice_is_one_of_them_and_every_one_comes() -> None:
    seen = {chosen("a {red|green| blue } cat", seed) for seed in range(60)}
    assert seen == {"a red cat", "a green cat", "a blue cat"}


def test_choices_of_a_text_are_drawn_on_their_own() -> None:
    seen = {chosen("{a|b} {a|b}", seed) for seed in range(80)}
    assert seen == {"a a", "a b", "b a", "b b"}
    assert chosen("{a|b|c} x", 7) == chosen("{a|b|c} y", 7).replace("y", "x")


def test_choices_in_choices_and_empty_ones() -> None:
    seen = {chosen("{a|{b|c} d|}", seed) for seed in range(80)}
    assert seen == {"a", "b d", "c d", ""}


@given(st.text(alphabet=st.characters(exclude_characters="{}|\\")), st.integers(0, 2**64 - 1))
def test_a_text_without_choices_stays_as_it_is(text: str, seed: int) -> None:
    assert chosen(text, seed) == text


@given(st.text(alphabet="ab{}|\\/* \n", max_size=40), st.integers(0, 2**64 - 1))
def test_any_text_is_read_or_refused_in_words(text: str, seed: int) -> None:
    try:
        assert resolved(text, seed) == resolved(text, seed)
    except ValueError as error:
        assert "without its" in str(error)


def test_signs_themselves_and_a_bar_outside() -> None:
    assert chosen(r"a \{b\|c\} d | e", 0) == "a {b|c} d | e"


@pytest.mark.parametrize("text", ["a {b", "{a|{b}", "a } b"])
def test_open_ends_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="without its"):
        chosen(text, 0)


def test_deep_nesting_is_no_crash() -> None:
    assert chosen("{" * 3000 + "a" + "}" * 3000, 1) == "a"


def test_comments_are_left_out_and_addresses_are_none() -> None:
    assert without_comments("a // b\nc /* d\ne */ f") == "a \nc  f"
    assert without_comments("see https://example.org now") == "see https://example.org now"


def test_lines_that_say_something() -> None:
    assert by_line(" a \n\n b\n") == ("a", "b")
