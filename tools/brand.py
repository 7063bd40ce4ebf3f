#!/usr/bin/env python3
"""Draw the registry's icon and banner: an image of the bundled model as its scales see it, from one token to all.

python -m tools.brand        writes docs/images/icon.png (400 x 400) and docs/images/banner.png (1344 x 576, 21:9)
"""

from pathlib import Path

from PIL import Image

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
SHEET = IMAGES / "bundled-contact-sheet.png"
LEFT, TOP, CELL, PITCH = 85, 19, 64, 66  # where its images lie, in pixels
FIRST, SECOND = (3, 2), (16, 8)  # row and column of those shown: a heart, a car
BACKGROUND = (24, 26, 32)
SIDES = (1, 2, 4, 8, 16, 64)  # blocks a side


def cell(sheet: Image.Image, row: int, column: int) -> Image.Image:
    """One image of the contact sheet."""
    left, top = LEFT + column * PITCH, TOP + row * PITCH
    return sheet.crop((left, top, left + CELL, top + CELL))


def blocks(image: Image.Image, side: int, size: int) -> Image.Image:
    """The image in `side` x `side` blocks, `size` pixels wide."""
    small = image.resize((side, side), Image.Resampling.BOX)
    return small.resize((size, size), Image.Resampling.NEAREST)


def icon(image: Image.Image) -> Image.Image:
    """Four scales, coarse to fine."""
    made, size, gap = Image.new("RGB", (400, 400), BACKGROUND), 184, 12
    for place, side in enumerate((2, 4, 16, 64)):
        x, y = place % 2 * (size + gap) + gap - 2, place // 2 * (size + gap) + gap - 2
        made.paste(blocks(image, side, size), (x, y))
    return made


def banner(images: list[Image.Image]) -> Image.Image:
    """A row of scales for each image."""
    width, height, gap = 1344, 576, 24
    made = Image.new("RGB", (width, height), BACKGROUND)
    size = (width - gap) // len(SIDES) - gap
    top = (height - len(images) * size - (len(images) - 1) * gap) // 2
    for row, image in enumerate(images):
        for column, side in enumerate(SIDES):
            place = (gap + column * (size + gap), top + row * (size + gap))
            made.paste(blocks(image, side, size), place)
    return made


def main() -> None:
    sheet = Image.open(SHEET).convert("RGB")
    first = cell(sheet, *FIRST)
    icon(first).save(IMAGES / "icon.png", optimize=True)
    banner([first, cell(sheet, *SECOND)]).save(IMAGES / "banner.png", optimize=True)


if __name__ == "__main__":
    main()
