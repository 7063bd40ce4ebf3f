"""What all drawings share: colours, colour maps, fonts, and the way between images and IMAGE tensors."""

import unicodedata
from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

Colour = tuple[int, int, int]
INK, PAPER, FAINT = (32, 33, 38), (255, 255, 255), (222, 224, 230)

# Control points at equal distances, from the colour maps of matplotlib (CC0): perceptually uniform, readable in grey.
COLOUR_MAPS: dict[str, str] = {
    "viridis": "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725",
    "magma": "000004 180f3d 440f76 721f81 9e2f7f cd4071 f1605d fd9668 feca8d fcfdbf",
    "grey": "000000 ffffff",
}


def colour_table(name: str) -> Tensor:
    """Control points of a colour map, (P, 3) in 0-1."""
    if name not in COLOUR_MAPS:
        raise ValueError(f"unknown colour map '{name}': choose one of {', '.join(COLOUR_MAPS)}")
    points = list(bytes.fromhex(COLOUR_MAPS[name]))
    return torch.tensor(points, dtype=torch.float32).unflatten(0, (-1, 3)) / 255


def colourise(values: Tensor, name: str) -> Tensor:
    """Values in 0-1 (...) -> colours (..., 3) in 0-1, linear between the control points."""
    table = colour_table(name)
    place = values.float().clamp(0, 1) * (len(table) - 1)
    below = place.floor().clamp(max=len(table) - 2)
    share = (place - below)[..., None]
    index = below.long()
    return table[index] * (1 - share) + table[index + 1] * share


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, so that no font file is needed; it has Latin letters only."""
    try:
        return ImageFont.load_default(size)
    except TypeError:  # before Pillow 10.1 it came in one size
        return ImageFont.load_default()


NO_LETTER = "\uffff"
SIGNS = {
    "\u2212": "-",
    "\u2013": "-",
    "\u2014": "-",
    "\u00d7": "x",
    "\u2032": "'",
    "\u221a": "sqrt ",
}


@lru_cache(maxsize=1024)
def in_font(letter: str) -> bool:
    """Whether the font has a letter; one it has not is drawn as an empty box, or cannot be drawn at all."""
    if not isinstance(font(16), ImageFont.FreeTypeFont):
        return letter.isascii()
    return letter == " " or _drawn(letter) != _drawn(NO_LETTER)


def _drawn(letter: str) -> bytes:
    """What a letter looks like."""
    place = Image.new("L", (48, 32))
    ImageDraw.Draw(place).text((8, 0), letter, fill=255, font=font(16))
    return place.tobytes()


def legible(text: str) -> str:
    """A text in letters the font has: accents are left out, Greek letters are spelt, what is left is '?'."""
    return "".join(c if in_font(c) else _spelt(c) for c in text)


def _spelt(letter: str) -> str:
    if letter in SIGNS or letter.isspace():
        return SIGNS.get(letter, " ")
    apart = unicodedata.normalize("NFKD", letter)
    plain = "".join(c for c in apart if c.isascii() and c.isprintable())
    greek = unicodedata.name(letter, "").startswith("GREEK ")
    return plain or (
        unicodedata.name(letter).split(" WITH ")[0].split()[-1].lower() if greek else "?"
    )


def text_width(text: str, size: int) -> int:
    """Width of a line in pixels."""
    return int(ImageDraw.Draw(Image.new("RGB", (1, 1))).textlength(text, font=font(size)))


def fitting_size(lines: list[str], width: int, wanted: int) -> int:
    """The largest font size up to `wanted` at which every line is at most `width` wide."""
    size = wanted
    while size > 8 and max(text_width(line, size) for line in lines) > width:
        size -= 1
    return size


def to_pil(image: Tensor) -> Image.Image:
    """(H, W, 3) in 0-1 -> an image."""
    pixels = (image.float().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(pixels[..., :3].numpy(), "RGB")


def from_pil(images: list[Image.Image]) -> Tensor:
    """Images of one size -> IMAGE (B, H, W, 3) in 0-1."""
    arrays = [np.asarray(image.convert("RGB"), dtype=np.float32) / 255 for image in images]
    return torch.from_numpy(np.stack(arrays))


def number(value: float) -> str:
    """A number as short as it can be read."""
    if value == 0:
        return "0"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
