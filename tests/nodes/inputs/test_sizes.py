"""The list of picture sizes: readable, complete, and read back."""

import pytest
from ar_guidance.loaders.families import TRANSFORMERS
from ar_guidance.nodes.inputs import sizes


def test_every_entry_is_read_back() -> None:
    default, *entries = sizes.choices()
    assert sizes.parse(default) is None and sizes.parse("") is None
    known = {size for family in TRANSFORMERS for size in family.sizes}
    assert {sizes.parse(entry) for entry in entries} == known
    assert len(entries) == len(known)


def test_width_comes_first_and_squares_before_other_shapes() -> None:
    assert sizes.label((720, 1440)) == "1440×720 (2:1)"
    assert sizes.parse("1440×720 (2:1)") == sizes.parse("1440x720") == (720, 1440)
    entries = [sizes.parse(entry) for entry in sizes.choices()[1:]]
    square = [height == width for height, width in entries]
    assert square == sorted(square, reverse=True) and any(square) and not all(square)
    for shape in (True, False):
        areas = [h * w for (h, w), even in zip(entries, square, strict=True) if even == shape]
        assert areas == sorted(areas)


@pytest.mark.parametrize("text", ["large", "512", "x512", "512x"])
def test_what_is_no_size_is_refused(text) -> None:
    with pytest.raises(ValueError, match="is not a picture size"):
        sizes.parse(text)
