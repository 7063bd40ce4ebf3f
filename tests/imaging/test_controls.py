"""Numbers from links: out of range they are refused by name, and in range they are whole scales and tokens."""

import math

import pytest
import torch
from ar_guidance.imaging.controls import margins, share_kept, within
from ar_guidance.imaging.editing import Edit
from ar_guidance.imaging.tokens import ImageTokens
from hypothesis import given
from hypothesis import strategies as st

SCALES = ((1, 1), (2, 2), (4, 4))


def tokens(kind: str = "scale") -> ImageTokens:
    grids = SCALES if kind == "scale" else SCALES[-1:]
    steps = tuple(torch.zeros(1, h * w).long() for h, w in grids)
    return ImageTokens(kind, grids, steps, "abc", "VAR")


@given(value=st.floats(allow_nan=True), low=st.floats(-9, 0), high=st.floats(0, 9))
def test_a_number_is_given_back_or_refused_by_name(value, low, high) -> None:
    if low <= value <= high:
        assert within("strength", value, low, high) == value
    else:
        with pytest.raises(ValueError, match="^strength is "):
            within("strength", value, low, high)


@pytest.mark.parametrize("variation", [2, -1, math.nan, math.inf])
def test_no_such_variation(variation) -> None:
    with pytest.raises(ValueError, match="variation is .* goes from 0 to 1"):
        share_kept(tokens(), variation, -1)
    with pytest.raises(ValueError):
        Edit(tokens(), kept=1 - variation)


def test_scales_there_are() -> None:
    assert [share_kept(tokens(), 0.5, keep) for keep in (0, 3)] == [0, 1]
    assert share_kept(tokens(), 0.25, -1) == 0.75
    for keep, said in ((-5, "keep_scales is -5"), (4, "have 3 scales")):
        with pytest.raises(ValueError, match=said):
            share_kept(tokens(), 0.5, keep)
    with pytest.raises(ValueError, match="has no scales"):
        share_kept(tokens("token"), 0.5, 2)


@given(tokens=st.integers(1, 64), left=st.floats(0, 0.9), right=st.floats(0, 0.9))
def test_margins_are_whole_tokens_and_leave_room(tokens, left, right) -> None:
    try:
        before, after = margins(tokens, left=left, right=right)
    except ValueError as error:
        assert (
            "left and right together" in str(error)
            and round(left * tokens) + round(right * tokens) >= tokens
        )
        return
    assert abs(before - left * tokens) <= 0.5 and abs(after - right * tokens) <= 0.5
    assert before + after < tokens


@pytest.mark.parametrize("left", [-0.5, -1.5, 0.95, math.nan])
def test_no_such_margin(left) -> None:
    with pytest.raises(ValueError, match="^left is "):
        margins(8, left=left, right=0.25)
