"""The list of image sizes: readable, complete, and read back."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from ar_guidance.imaging import sizes
from ar_guidance.loaders.families import TRANSFORMERS
from ar_guidance.models import llamagen
from ar_guidance.models.infinity import network as infinity
from ar_guidance.tests.tiny import tiny_infinity, tiny_var
from ar_guidance.tests.tiny_tokens import tiny_llamagen


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
    with pytest.raises(ValueError, match="is not an image size"):
        sizes.parse(text)


def sized(tiny, family, factor: int, **config) -> SimpleNamespace:
    """A model as the nodes see it."""
    codec = SimpleNamespace(config=SimpleNamespace(factor=factor))
    return SimpleNamespace(
        family=family,
        config=replace(tiny.config, **config) if config else tiny.config,
        tokenizer=codec,
    )


@pytest.mark.parametrize("height, width", [(64, 64), (1, 1), (2000, 30)])
def test_a_model_of_one_size_has_no_choice(height, width) -> None:
    tiny = tiny_var()
    model, (h, w) = sized(tiny, tiny.family, 16), tiny.config.grids[-1]
    assert sizes.nearest(model, height, width) == (16 * h, 16 * w)


def test_the_very_size_or_what_the_model_is_set_to() -> None:
    model = sized(tiny_llamagen(), llamagen.FAMILY_CLASS, 16, grid=(24, 24))
    for side in (256, 384, 512):
        assert sizes.nearest(model, side, side) == (side, side)
    for size in ((3000, 4000), (100, 100), (513, 512)):
        assert sizes.nearest(model, *size) == (384, 384)


def test_the_nearest_shape_of_many() -> None:
    config = infinity.at(tiny_infinity().config, (64, 64))
    model = sized(SimpleNamespace(config=config), infinity.FAMILY, 16)
    assert sizes.nearest(model, 1024, 1024) == sizes.nearest(model, 3000, 3000) == (1024, 1024)
    known = [(h * 16, w * 16) for h, w in infinity.FAMILY.frames(config)]
    for height, width in ((1500, 1000), (1000, 1500), (900, 1600), (1000, 3000)):
        found = sizes.nearest(model, height, width)
        ratio, best = (
            found[0] / found[1],
            min(known, key=lambda s: abs(s[0] / s[1] - height / width)),
        )
        assert abs(ratio - best[0] / best[1]) < 0.05 * ratio
        assert (
            0.8 < found[0] * found[1] / 1024**2 < 1.25
        )  # the budget it is set to, not a smaller one
    for size in known:
        assert sizes.nearest(model, *size) == size
