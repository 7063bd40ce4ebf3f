"""Contact sheets: what differs, where images go, and that they keep their pixels."""

import numpy as np
import pytest
from ar_guidance.imaging.differences import caption, differing, parse_label
from ar_guidance.imaging.grid import arrange, arrange_blind, draw_sheet, letters, wrap
from PIL import Image

COLOURS = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0), (0, 250, 250), (250, 0, 250)]


def squares(count: int, size: tuple[int, int] = (64, 64)) -> list[list[Image.Image]]:
    return [[Image.new("RGB", size, colour)] for colour in COLOURS[:count]]


def places(sheet: Image.Image, count: int) -> list[tuple[int, int]]:
    """Upper left corner of each square, by its colour; it must be whole."""
    pixels, corners = np.asarray(sheet), []
    for colour in COLOURS[:count]:
        rows, columns = np.nonzero((pixels == colour).all(-1))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert len(rows) == height * width, "an image is covered or cut"
        corners.append((int(columns.min()), int(rows.min())))
    return corners


def test_only_what_differs_is_kept() -> None:
    runs = [
        parse_label("scale = 3; seed = 7; model = x"),
        parse_label("scale = 4; seed = 7; model = x"),
    ]
    assert differing(runs) == [{"scale": "3"}, {"scale": "4"}]
    assert differing([{"a": "1"}, {"a": "1", "b": "2"}]) == [{"b": "-"}, {"b": "2"}]
    assert parse_label("free text") == {"": "free text"}
    assert caption({"scale": "3", "": "free"}) == "scale 3, free"


def test_two_settings_in_every_combination_are_a_table() -> None:
    runs = [{"seed": s, "scale": c} for s in "12" for c in "345"]
    sheet = arrange(squares(6), runs, 0, "title")
    assert sheet.columns == ["scale 3", "scale 4", "scale 5"] and sheet.rows == ["seed 1", "seed 2"]
    corners = places(draw_sheet(sheet), 6)
    assert len({x for x, _ in corners}) == 3 and len({y for _, y in corners}) == 2
    assert corners == sorted(corners, key=lambda corner: (corner[1], corner[0]))


def test_an_incomplete_table_is_a_list() -> None:
    runs = [{"seed": s, "scale": c} for s, c in ("13", "14", "25")]
    sheet = arrange(squares(3), runs, 2, "")
    assert [len(row) for row in sheet.cells] == [2, 1] and not sheet.rows
    assert sheet.captions[1] == ["seed 2, scale 5"]
    assert len(places(draw_sheet(sheet), 3)) == 3


def test_batches_get_a_row_each() -> None:
    images = [squares(6)[0] + squares(6)[1], squares(6)[2]]
    sheet = arrange(images, [{"scale": "1"}, {"scale": "2"}], 0, "")
    assert sheet.rows == ["scale 1", "scale 2"] and sheet.cells[1][1] is None
    places(draw_sheet(sheet), 3)


def test_small_images_are_enlarged_evenly_and_large_ones_are_not() -> None:
    small = np.asarray(draw_sheet(arrange(squares(1), [{}], 0, "")))
    assert (small == COLOURS[0]).all(-1).sum() == (3 * 64) ** 2
    large = np.asarray(draw_sheet(arrange(squares(1, (300, 200)), [{}], 0, "")))
    assert (large == COLOURS[0]).all(-1).sum() == 300 * 200


def test_long_captions_are_wrapped_and_cut() -> None:
    lines = wrap("a caption of several words " * 4, 160, 18)
    assert len(lines) > 2
    assert wrap("x" * 200, 160, 18)[0].endswith("...")
    runs = [{"prompt": "word " * 40}, {"prompt": "w" * 100}]
    places(draw_sheet(arrange(squares(2), runs, 0, "")), 2)


@pytest.mark.parametrize("text", ["two\nlines", "a\r\nb\tc", "\x1b[2J\u2028x", "long " * 200])
def test_a_title_or_caption_of_several_lines_is_one_line(text: str) -> None:
    sheet = arrange(squares(2), [{"prompt": text}, {"prompt": "other"}], 0, text)
    assert len(sheet.title.splitlines()) == 1 and len(sheet.title) <= 304
    places(draw_sheet(sheet), 2)


# --- blind comparisons ------------------------------------------------------------------------------------------------


def batches(runs: int, images: int) -> list[list[Image.Image]]:
    """Image n of run r has colour (r, n, 0)."""
    return [[Image.new("RGB", (64, 64), (r, n, 0)) for n in range(images)] for r in range(runs)]


def test_a_blind_sheet_shows_every_image_once_and_its_key_says_which() -> None:
    runs = [{"scale": str(r)} for r in range(3)]
    hidden, key = arrange_blind(batches(3, 12), runs, 5, False, "")
    shown, same = arrange_blind(batches(3, 12), runs, 5, True, "")
    assert key == same and len(key.splitlines()) == 36
    told = dict(line.split(": ") for line in key.splitlines())
    orders = set()
    for n, (row, names, open_names) in enumerate(
        zip(hidden.cells, hidden.captions, shown.captions, strict=True)
    ):
        made = [image.getpixel((0, 0))[:2] for image in row]
        assert sorted(made) == [(r, n) for r in range(3)]  # image n of every run
        assert list(names) == [f"{n + 1}{letter}" for letter in "ABC"]  # and nothing else
        assert [told[name] for name in names] == [f"scale {r}" for r, _ in made]
        assert list(open_names) == [f"{name}: {told[name]}" for name in names]
        orders.add(tuple(r for r, _ in made))
    assert len(orders) > 2  # every row is shuffled by itself
    other, _ = arrange_blind(batches(3, 12), runs, 6, False, "")
    again, _ = arrange_blind(batches(3, 12), runs, 5, False, "")
    colours = [
        [[i.getpixel((0, 0)) for i in row] for row in s.cells] for s in (hidden, again, other)
    ]
    assert colours[0] == colours[1] != colours[2]


def test_what_cannot_be_compared_blind() -> None:
    with pytest.raises(ValueError, match="at least two runs"):
        arrange_blind(batches(1, 3), [{}], 0, False, "")
    with pytest.raises(ValueError, match="same number"):
        arrange_blind([*batches(1, 3), *batches(1, 2)], [{}, {}], 0, False, "")
    assert [letters(n) for n in (0, 25, 26, 52)] == ["A", "Z", "AA", "BA"]
