"""Whether sizes that were read from a file can be a network's, before anything is built from them."""

import math
from dataclasses import fields, is_dataclass

from ..models.parts.sizes import TransformerConfig

MOST = 1 << 24  # of any size: no vocabulary, width or length reaches it
LONGEST = 4096  # entries of a list of sizes
WIDEST = 1024  # tokens along a side of an image


def check_plausible(config: object) -> None:
    """Raise ValueError when a config holds a number that no network has; nested configs and lists as well."""
    if is_dataclass(config) and not isinstance(config, type):
        for entry in fields(config):
            _check(entry.name, getattr(config, entry.name))


def check_transformer(config: TransformerConfig) -> None:
    """Raise ValueError when a transformer would make images that nobody could hold."""
    side = max(config.grid)
    if side > WIDEST:
        raise ValueError(f"its images would be {side:,} tokens wide, and {WIDEST:,} is the most")


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
