"""Whether sizes that were read from a file can be a network's, before anything is built from them."""

import math
from dataclasses import fields, is_dataclass

MOST = 1 << 24  # of any size: no vocabulary, width or length reaches it
LONGEST = 4096  # entries of a list of sizes
WIDEST = 1024  # tokens along a side of an image


def check_plausible(config: object) -> None:
    """Raise ValueError when a config holds a number that no network has; nested configs and lists as well."""
    if is_dataclass(config) and not isinstance(config, type):
        for entry in fields(config):
            _check(entry.name, getattr(config, entry.name))
    side = max(getattr(config, "grid", None) or (0,))
    if side > WIDEST:
        raise ValueError(f"its images would be {side:,} tokens wide, and {WIDEST:,} is the most")
    heads, width = getattr(config, "heads", 1), getattr(config, "width", 0)
    if heads < 1:
        raise ValueError(f"it would have {heads} heads")
    if width and not hasattr(config, "head_width") and width % heads:
        raise ValueError(f"its {width} channels cannot be shared by {heads} heads")


def _check(name: str, value: object) -> None:
    if isinstance(value, (list, tuple)):
        if len(value) > LONGEST:
            raise ValueError(f"{name} lists {len(value):,} sizes")
        for entry in value:
            _check(name, entry)
    elif isinstance(value, (int, float)) and not (
        math.isfinite(value) and abs(value) <= _most(value)
    ):
        raise ValueError(f"{name} is {value:g}")
    elif is_dataclass(value):
        check_plausible(value)


def _most(value: float) -> float:
    return MOST if isinstance(value, int) else 1e15
