"""Numbers out of config.json files and headers: of the right type and in range before anything is built from them."""

import math
from collections.abc import Mapping
from typing import TypeAlias

Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json]"
"""What a JSON file holds."""

MOST = 1 << 20  # of any count a file may claim


def whole(
    entries: Mapping[str, object], name: str, default: int, low: int = 1, high: int = MOST
) -> int:
    """A whole number; the default where there is none, or null. Headers hold texts, so "3" counts as 3.

    Raises:
        ValueError: it is no whole number, or outside [low, high].
    """
    value = entries.get(name)
    if value is None:
        return default
    number = _read(value, name)
    if number != int(number) or not low <= number <= high:
        raise ValueError(f"{name} is {number:g}, and should be a whole number from {low} to {high}")
    return int(number)


def decimal(
    entries: Mapping[str, object], name: str, default: float, low: float = 0.0, high: float = 1e12
) -> float:
    """A finite number; the default where there is none, or null.

    Raises:
        ValueError: it is no number, or outside [low, high].
    """
    value = entries.get(name)
    if value is None:
        return default
    number = _read(value, name)
    if not low <= number <= high:
        raise ValueError(f"{name} is {number:g}, and should lie between {low:g} and {high:g}")
    return number


def whole_list(
    entries: Mapping[str, object], name: str, most: int, high: int = MOST
) -> tuple[int, ...]:
    """A list of at most `most` whole numbers from 1 to `high`; () where there is none, or null.

    Raises:
        ValueError: it is anything else.
    """
    value = entries.get(name)
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)) or len(value) > most:
        raise ValueError(f"{name} is not a list of at most {most} whole numbers")
    return tuple(whole({name: entry}, name, 0, 1, high) for entry in value)


def _read(value: object, name: str) -> float:
    if isinstance(value, (int, float, str)):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
    raise ValueError(f"{name} is not a number")
