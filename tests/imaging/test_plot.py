"""Plots as figures: error bars both ways, legends of many names, and words in letters the font has not."""

import pytest
import torch
from ar_guidance.imaging.canvas import in_font, legible
from ar_guidance.imaging.plot import SIZE, Plot, Series, draw_plot
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image


def coloured(image: Image.Image, rows: slice) -> torch.Tensor:
    """Where a plot is red, within some rows of pixels."""
    pixels = torch.tensor(list(image.tobytes())).view(SIZE[1], SIZE[0], 3)[rows]
    return (pixels[..., 0] > 150) & (pixels[..., 1] < 130)


def test_level_bars_are_as_long_as_they_say_and_widen_the_axis() -> None:
    line = Series("a", [1.0, 2.0], [0.2, 0.8], (200, 0, 0), x_errors=[0.0, 1.0])
    found = coloured(draw_plot(Plot("title", "x", [line])), slice(80, 420))
    wide = found.sum(1)
    inner = (SIZE[0] - 24 - 64) / 1.04  # the axis goes from 1 to 3
    assert wide.max() == pytest.approx(inner, abs=12)
    assert not coloured(draw_plot(Plot("t", "x", [line])), slice(80, 420))[:, :64].any()


def test_a_legend_that_is_too_long_goes_on_below() -> None:
    names = [f"a guidance with a long name, number {n}" for n in range(5)]
    many = [Series(name, [0, 1], [0.2, 0.2], (200, 0, 0)) for name in names]
    few = draw_plot(Plot("title", "x", many[:1], (0, 1)))
    wrapped = draw_plot(Plot("title", "x", many, (0, 1)))
    rows = coloured(wrapped, slice(40, 130))[:, 64:92].all(1)  # lines at the left end
    starts = (rows & ~rows.roll(1)).sum()
    assert starts == 3 and (coloured(few, slice(40, 130))[:, 64:92].all(1)).any()
    assert not coloured(wrapped, slice(0, 480))[:, SIZE[0] - 8 :].any()


def test_a_vertical_label_is_read_from_below() -> None:
    line = [Series("a", [0, 1], [0.2, 0.2], (200, 0, 0))]
    plain, named = (
        draw_plot(Plot("title", "x", line, (0, 1), y_label=y)) for y in ("", "distance")
    )
    left = [
        torch.tensor(list(i.crop((0, 90, 24, 420)).convert("L").tobytes())) for i in (plain, named)
    ]
    assert left[0].min() == 255 and left[1].min() < 120


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Fr\u00e9chet", "Frechet"),
        ("\u03b2 1.2, \u03b3\u2032", "beta 1.2, gamma'"),
        ("a \u2212 b, 3\u00d73", "a - b, 3x3"),
        ("\u56fe", "?"),
        ("plain \u00b1 1", "plain \u00b1 1"),
        ("", ""),
    ],
)
def test_letters_the_font_has_not_are_spelt(text: str, shown: str) -> None:
    assert legible(text) == shown and all(in_font(letter) for letter in legible(text))


@given(st.text(max_size=20))
def test_any_text_can_be_written(text: str) -> None:
    assert all(in_font(letter) for letter in legible(text))
