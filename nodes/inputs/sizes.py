"""Picture sizes as a readable list: `1024×1024 (1:1)`, width first, of everything any family makes."""

import math
import re

from ...loaders.families import TRANSFORMERS

MODEL_DEFAULT = "model default"
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
    found = re.match(r"\s*(\d+)\s*[x×]\s*(\d+)\b", text)
    if not found:
        raise ValueError(
            f"'{text}' is not a picture size: choose one of the list, or write width and height as 512x512"
        )
    return int(found[2]), int(found[1])
