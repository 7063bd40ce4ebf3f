"""Contact sheets: images in rows and columns, with what they were made with."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from PIL import Image, ImageDraw

from .canvas import INK, PAPER, font, legible, text_width
from .differences import caption

GAP = 8
SMALLEST_SIDE = 160  # smaller images are enlarged by whole pixels, so that captions fit under them


@dataclass(frozen=True)
class Sheet:
    """What to generate.

    Attributes:
        cells: rows of images; None is an empty place.
        columns, rows: headings, or () for none.
        captions: under every image, in the same rows, or () for none.
        title: above all.
    """

    cells: Sequence[Sequence[Image.Image | None]]
    columns: Sequence[str] = ()
    rows: Sequence[str] = ()
    captions: Sequence[Sequence[str]] = ()
    title: str = ""


LONGEST_LINE = 300  # letters of a title or caption


def one_line(text: str) -> str:
    """A text without line breaks, as long as a sheet can show."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]} ..."


def arrange(
    images: Sequence[Sequence[Image.Image]],
    runs: Sequence[Mapping[str, str]],
    columns: int,
    title: str,
) -> Sheet:
    """Where each image goes.

    Args:
        images: of every run, one or more.
        runs: what differs between the runs, a mapping each.
        columns: images in a row where the settings do not say it; 0 = about as many as rows, but at least four.

    Line breaks in texts become spaces, for every text here has one line.

    Two settings that take every combination of their values make a table. Otherwise runs of several images get a row
    each, and single images are set one after the other.
    """
    title = one_line(title)
    runs = [{one_line(name): one_line(value) for name, value in run.items()} for run in runs]
    table = _table(images, runs, title)
    if table is not None:
        return table
    if max(len(own) for own in images) > 1:
        most = max(len(own) for own in images)
        cells = [[*own, *[None] * (most - len(own))] for own in images]
        return Sheet(cells, rows=[caption(run) for run in runs], title=title)
    flat = [own[0] for own in images]
    wide = min(columns or max(4, math.ceil(math.sqrt(len(flat)))), len(flat))
    lines = [slice(start, start + wide) for start in range(0, len(flat), wide)]
    captions = [[caption(run) for run in runs[line]] for line in lines]
    return Sheet([flat[line] for line in lines], captions=captions, title=title)


def arrange_blind(
    images: Sequence[Sequence[Image.Image]],
    runs: Sequence[Mapping[str, str]],
    seed: int,
    reveal: bool,
    title: str,
) -> tuple[Sheet, str]:
    """A sheet that does not say which run an image comes from, and the key that does (SSG, arXiv 2602.05534, App. N).

    A row for each image of the runs' batches, in it that image of every run, in an order drawn for every row from the
    seed. Captions are 1A, 1B, 2A ...; with `reveal` the settings follow them, in the same places. The key has a line
    for every caption.

    Raises:
        ValueError: fewer than two runs, or runs of different numbers of images.
    """
    if len(images) < 2:
        raise ValueError("a blind comparison needs the images of at least two runs")
    if len({len(own) for own in images}) > 1:
        raise ValueError("a blind comparison needs the same number of images from every run")
    drawn, cells, captions, key = random.Random(seed), [], [], []
    for row in range(len(images[0])):
        order = list(range(len(images)))
        drawn.shuffle(order)
        names = [f"{row + 1}{letters(place)}" for place in range(len(order))]
        told = [f"{name}: {caption(runs[run])}" for name, run in zip(names, order, strict=True)]
        cells.append([images[run][row] for run in order])
        captions.append(told if reveal else names)
        key += told
    return Sheet(cells, captions=captions, title=title), "\n".join(key)


def letters(place: int) -> str:
    """0, 1, ... as A, B, ... Z, AA, AB ..."""
    return (letters(place // 26 - 1) if place >= 26 else "") + chr(ord("A") + place % 26)


def _table(
    images: Sequence[Sequence[Image.Image]], runs: Sequence[Mapping[str, str]], title: str
) -> Sheet | None:
    """A table of two settings, if the runs are one: the first one's values are its rows."""
    if len(runs[0]) != 2 or any(len(own) != 1 for own in images):
        return None
    down, across = runs[0]
    rows = list(dict.fromkeys(run[down] for run in runs))
    columns = list(dict.fromkeys(run[across] for run in runs))
    places = {(run[down], run[across]): own[0] for run, own in zip(runs, images, strict=True)}
    if len(places) != len(runs) or len(runs) != len(rows) * len(columns):
        return None
    return Sheet(
        [[places[row, column] for column in columns] for row in rows],
        columns=[f"{across} {column}".strip() for column in columns],
        rows=[f"{down} {row}".strip() for row in rows],
        title=title,
    )


@dataclass(frozen=True)
class Layout:
    """Sizes in pixels: of an image's place, of what is left of and above the images, of the text under one."""

    times: int
    width: int
    height: int
    left: int
    over: int
    head: int
    under: int
    size: int

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """Upper left corner of an image's place."""
        step = self.height + self.under + GAP
        return self.left + GAP + column * (self.width + GAP), self.head + row * step


def _layout(sheet: Sheet, size: int) -> Layout:
    images = [image for row in sheet.cells for image in row if image is not None]
    times = max(1, math.ceil(SMALLEST_SIDE / min(min(image.size) for image in images)))
    width = max(image.width for image in images) * times
    captions = [text for row in sheet.captions for text in row]
    over = _text_height(sheet.columns, width, size)
    title = line_height(size) + GAP if sheet.title else 0
    return Layout(
        times=times,
        width=width,
        height=max(image.height for image in images) * times,
        left=min(max((text_width(text, size) for text in sheet.rows), default=-GAP), 320) + GAP,
        over=over,
        head=title + (over + GAP if over else 0) + GAP,
        under=_text_height(captions, width, size),
        size=size,
    )


def draw_sheet(sheet: Sheet, size: int = 18) -> Image.Image:
    """The sheet as one image; `size`: of the letters. Images keep their pixels: small ones are enlarged evenly."""
    sheet = _legible(sheet)
    place = _layout(sheet, size)
    right, bottom = place.corner(len(sheet.cells), max(len(row) for row in sheet.cells))
    right = max(right, text_width(sheet.title, size) + 2 * GAP)
    canvas = Image.new("RGB", (right, bottom), PAPER)
    pen = ImageDraw.Draw(canvas)
    pen.text((GAP, GAP), sheet.title, fill=INK, font=font(size))
    for x, text in enumerate(sheet.columns):
        above = place.corner(0, x)[0], place.head - place.over - GAP
        _write(pen, text, above, place.width, size)
    for y, text in enumerate(sheet.rows):
        _write(pen, text, (GAP, place.corner(y, 0)[1]), place.left - GAP, size)
    for y, row in enumerate(sheet.cells):
        for x, image in enumerate(row):
            if image is not None:
                _cell(
                    canvas,
                    pen,
                    image,
                    sheet.captions[y][x] if sheet.captions else "",
                    place,
                    (y, x),
                )
    return canvas


def _legible(sheet: Sheet) -> Sheet:
    """The sheet with words the font can write."""
    columns, rows = (
        [legible(text) for text in sheet.columns],
        [legible(text) for text in sheet.rows],
    )
    captions = [[legible(text) for text in row] for row in sheet.captions]
    return replace(sheet, columns=columns, rows=rows, captions=captions, title=legible(sheet.title))


def _cell(
    canvas: Image.Image,
    pen: ImageDraw.ImageDraw,
    image: Image.Image,
    text: str,
    place: Layout,
    where: tuple[int, int],
) -> None:
    """One image and its caption."""
    x, y = place.corner(*where)
    whole = image.width * place.times, image.height * place.times
    canvas.paste(image.resize(whole, Image.Resampling.NEAREST), (x, y))
    _write(pen, text, (x, y + place.height), place.width, place.size)


def line_height(size: int) -> int:
    """Pixels from one line of text to the next."""
    return size + size // 3


def _text_height(texts: Sequence[str], width: int, size: int) -> int:
    """Pixels that the longest of some texts takes when wrapped."""
    return max((len(wrap(text, width, size)) for text in texts), default=0) * line_height(size)


def wrap(text: str, width: int, size: int) -> list[str]:
    """A text in lines of at most `width` pixels; a single word that is longer is cut."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if text_width(longer, size) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return [_cut(line, width, size) for line in lines]


def _cut(text: str, width: int, size: int) -> str:
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "...", size) > width:
        text = text[:-1]
    return text + "..."


def _write(
    pen: ImageDraw.ImageDraw, text: str, place: tuple[int, int], width: int, size: int
) -> None:
    for n, part in enumerate(wrap(text, width, size)):
        corner = (place[0], place[1] + n * line_height(size))
        pen.text(corner, part, fill=INK, font=font(size))
