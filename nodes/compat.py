"""One pack for old and new hosts: schema arguments a host does not know are left out."""

import inspect
import logging
import math
import re
import sys
from collections.abc import Callable
from typing import Any

from comfy_api.v0_0_2 import io

from ..loaders.quote import message, quoted

LARGEST_SEED = 0xFFFFFFFFFFFFFFFF


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


def wildcard_widget() -> io.Input:
    """The seed of choices in a text."""
    return widget(
        io.Int,
        "wildcard_seed",
        default=0,
        min=0,
        max=LARGEST_SEED,
        optional=True,
        advanced=True,
        tooltip="Which of the choices in braces are taken: the same seed, the same choices. Connect a number that changes to get"
        " others with every run.",
    )


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
    text = message(text)
    logging.warning("[AR Guidance] %s", text)
    # Not imported: nodes also run where there is no server.
    PromptServer = getattr(sys.modules.get("server"), "PromptServer", None)
    show = getattr(getattr(PromptServer, "instance", None), "send_progress_text", None)
    if show is not None and getattr(node, "hidden", None) is not None:
        show(text, node.hidden.unique_id)


def saying(output: io.NodeOutput, text: str) -> io.NodeOutput:
    """The output with a text that the web part shows on a line of the node's panel: for what is as it should be."""
    output.ui = {"ar_text": [message(text)]}
    return output
