"""What arrives by link: each type is taken in every form that has one meaning, and refused in words otherwise."""

import numpy as np
import pytest
import torch
from ar_guidance.nodes.inputs import arriving
from hypothesis import given
from hypothesis import strategies as st

LIMITS = (1, 1024)


@pytest.mark.parametrize("value", [1, 1024, 4.0, np.int64(7), True])
def test_whole_numbers_are_taken(value: object) -> None:
    assert arriving.whole(value, LIMITS) == int(value)  # type: ignore[call-overload]
    assert type(arriving.whole(value, LIMITS)) is int


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1025, "is 1025, but goes from 1 to 1024"),
        (0, "is 0, but goes from 1"),
        (2.5, "is 2.5, but takes whole numbers"),
        (float("nan"), "takes whole numbers"),
        (float("inf"), "takes whole numbers"),
        pytest.param(10**5000, "about 5,001 digits", id="endless"),
        ("3", "needs a whole number, but receives the text '3'"),
        (None, "receives nothing"),
        ([3], "receives a list"),
        (torch.zeros(2), "takes whole numbers"),
    ],
)
def test_other_numbers_are_refused(value: object, words: str) -> None:
    with pytest.raises(ValueError) as refused:
        arriving.whole(value, LIMITS)
    assert words in str(refused.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 10**400])
def test_numbers_are_finite(value: float) -> None:
    with pytest.raises(ValueError, match="takes finite numbers"):
        arriving.decimal(value, (None, None))


@pytest.mark.parametrize("value", ["1.0", None, [], b"1", torch.zeros(3), object()])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="needs (a|one) number"):
        arriving.decimal(value, (0.0, 1.0))


@given(
    st.one_of(
        st.none(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.integers())
    )
)
def test_nothing_but_words_comes_out(value: object) -> None:
    for check in (
        lambda: arriving.whole(value, LIMITS),
        lambda: arriving.decimal(value, (0.0, 1.0)),
        lambda: arriving.text(value),
        lambda: arriving.switch(value),
        lambda: arriving.choice(value, ["a", "b"]),
        lambda: arriving.image(value),
        lambda: arriving.mask(value),
        lambda: arriving.conditioning(value),
    ):
        try:
            check()
        except ValueError as refused:
            assert str(refused).isprintable() and len(str(refused)) < 400


@pytest.mark.parametrize(
    ("shape", "taken"),
    [
        ((2, 4, 5, 3), (2, 4, 5, 3)),
        ((4, 5, 3), (1, 4, 5, 3)),
        ((4, 5), (1, 4, 5, 3)),
        ((2, 4, 5, 1), (2, 4, 5, 3)),
        ((2, 4, 5, 2), (2, 4, 5, 3)),
        ((2, 4, 5, 4), (2, 4, 5, 3)),
        ((2, 1, 4, 5, 3), (2, 4, 5, 3)),
        ((1, 2, 4, 5, 3), (2, 4, 5, 3)),
        ((1, 1, 1, 3), (1, 1, 1, 3)),
        ((1, 64, 1, 3), (1, 64, 1, 3)),
    ],
)
def test_images_of_every_form(shape: tuple[int, ...], taken: tuple[int, ...]) -> None:
    assert tuple(arriving.image(torch.rand(shape)).shape) == taken


def test_alpha_and_grey_keep_the_colours() -> None:
    colours = torch.rand(1, 3, 3, 4)
    assert torch.equal(arriving.image(colours), colours[..., :3])
    assert torch.equal(arriving.image(colours[..., 2:])[..., 1], colours[..., 2])


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (torch.zeros(0, 4, 4, 3), "empty image"),
        (torch.zeros(1, 0, 4, 3), "empty image"),
        (torch.zeros(1, 4, 4, 5), "not an image"),
        (torch.zeros(2, 3, 4, 4, 3), "not an image"),
        (torch.full((1, 4, 4, 3), float("nan")), "not numbers"),
        (torch.full((1, 4, 4, 3), float("inf")), "not numbers"),
        (torch.full((1, 4, 4, 3), 255.0), "from 255 to 255"),
        (torch.zeros(1, 4, 4, 3, dtype=torch.complex64), "complex"),
    ],
)
def test_what_is_no_image_is_refused(made: torch.Tensor, words: str) -> None:
    with pytest.raises(ValueError) as refused:
        arriving.image(made)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("shape", "taken"),
    [
        ((2, 4, 5), (2, 4, 5)),
        ((4, 5), (1, 4, 5)),
        ((2, 1, 4, 5), (2, 4, 5)),
        ((2, 4, 5, 1), (2, 4, 5)),
    ],
)
def test_masks_of_every_form(shape: tuple[int, ...], taken: tuple[int, ...]) -> None:
    assert tuple(arriving.mask(torch.rand(shape)).shape) == taken


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (torch.zeros(0, 4, 4), "empty mask"),
        (torch.zeros(2, 4, 4, 3), "Convert Image to Mask"),
        (torch.zeros(4), "not a mask"),
        (torch.full((1, 4, 4), float("nan")), "not numbers"),
        (torch.full((1, 4, 4), 9.0), "from 9 to 9"),
    ],
)
def test_what_is_no_mask_is_refused(made: torch.Tensor, words: str) -> None:
    with pytest.raises(ValueError) as refused:
        arriving.mask(made)
    assert words in str(refused.value)


def test_overshoot_of_resizing_is_cut_off() -> None:
    assert arriving.image(torch.full((1, 2, 2, 3), 1.02)).max() == 1
    assert arriving.mask(torch.full((1, 2, 2), -0.1)).min() == 0
