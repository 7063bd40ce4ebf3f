"""Image sizes as a readable list: `1024×1024 (1:1)`, width first, of everything any family makes."""

import math
import re

from ..loaders.families import TRANSFORMERS
from ..loaders.quote import quoted
from ..sampling.loops import grids_of
from ..sampling.model import Model

MODEL_DEFAULT = "model default"
AS_NEAR = (
    0.03  # of a side: shapes that differ less are the same shape, in sizes rounded to whole tokens
)
Size = tuple[int, int]  # height, width


def choices() -> list[str]:
    """The model's own size first, then squares, then other shapes, small ones before large ones."""
    known = {size for family in TRANSFORMERS for size in family.sizes}
    ordered = sorted(known, key=lambda size: (size[0] != size[1], size[0] * size[1], size))
    return [MODEL_DEFAULT, *map(label, ordered)]


def label(size: Size) -> str:
    """Width, height and their ratio."""
    height, width = size
    common = math.gcd(height, width)
    return f"{width}×{height} ({width // common}:{height // common})"


def parse(text: str) -> Size | None:
    """(height, width) of an entry of the list, or None for the model's own size.

    Raises:
        ValueError: not a size.
    """
    if text in ("", MODEL_DEFAULT):
        return None
    found = re.match(r"\s*([0-9]{1,6})\s*[x×]\s*([0-9]{1,6})\b", text)
    if not found:
        raise ValueError(
            f"'{quoted(text)}' is not an image size: choose one from the list, or write width and height as 512x512"
        )
    return int(found[2]), int(found[1])


def nearest(model: Model, height: int, width: int) -> Size:
    """The size of an `ARModel`'s images that is nearest to a given one.

    The very size, if the model makes it. Else the nearest shape, and of that shape the area of the images that the model is
    set to: what it was trained for.
    """
    factor, own = model.tokenizer.config.factor, grids_of(model)[-1]
    frames = dict.fromkeys((own, *model.family.frames(model.config)))
    known = [(h * factor, w * factor) for h, w in frames]
    if (height, width) in known:
        return height, width
    away = {size: abs(math.log(size[0] / size[1] * width / height)) for size in known}
    shaped = [size for size in known if away[size] <= min(away.values()) + AS_NEAR]
    area = own[0] * own[1] * factor**2
    return min(shaped, key=lambda size: (abs(math.log(size[0] * size[1] / area)), away[size]))
