"""One pack for old and new hosts: schema arguments a host does not know are left out."""

import inspect
import logging
import math
import re
from collections.abc import Callable
from typing import Any

from comfy_api.v0_0_2 import io

from ..loaders.quote import message, quoted


def known(function: Callable[..., object], arguments: dict[str, object]) -> dict[str, Any]:
    """The arguments that `function` (a class or a callable) accepts."""
    accepted = inspect.signature(function).parameters
    return {name: value for name, value in arguments.items() if name in accepted}


def schema(**arguments: object) -> io.Schema:
    """`io.Schema` with whatever this host understands."""
    return io.Schema(**known(io.Schema, arguments))


def widget(kind: type[io.ComfyTypeI], identifier: str, **arguments: object) -> io.Input:
    """`kind.Input` with whatever this host understands (`advanced` and the like are newer than 0.3.75)."""
    return kind.Input(identifier, **known(kind.Input, arguments))


def numbers(text: str) -> tuple[float, ...]:
    """A list of numbers as it is typed into a text widget.

    Raises:
        ValueError: something in it is not a number.
    """
    try:
        listed = tuple(float(part) for part in re.split(r"[,\s]+", text.strip()) if part)
        if all(math.isfinite(number) for number in listed):
            return listed
        raise ValueError
    except ValueError as error:
        raise ValueError(
            f"'{quoted(text)}' is not a list of numbers: write one per step, for example 1, 2.5, 4"
        ) from error


def tell(node: type[io.ComfyNode], text: str) -> None:
    """Say something that is no error: in the log, and on the node where the host can show it."""
    from server import PromptServer

    text = message(text)
    logging.warning("[AR Guidance] %s", text)
    show = getattr(getattr(PromptServer, "instance", None), "send_progress_text", None)
    if show is not None and node.hidden is not None:
        show(text, node.hidden.unique_id)
