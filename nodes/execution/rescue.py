"""A batch made in parts: when a later part fails or the run is cancelled, what is finished is not lost.

The host lets a node either fail or give outputs, not both. So a run that stops leaves its finished images as files in
the temp folder and names them in the message; or, where the user asked for that, hands them on as if they were all.
"""

import logging
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import comfy.model_management as mm
import folder_paths
from comfy_api.v0_0_2 import io, ui
from torch import Tensor

from ...loaders.quote import message, quoted, reason
from ..types import Batch, Sampling
from .batches import Finished, join
from .host import Hidden

# The choices of if_stopped; saved workflows name them, so they stay as they are.
TO_TEMP, HAND_ON = "save finished pictures to temp", "hand on finished pictures"

PREFIX = "ar-guidance-finished"
# A cancel is no Exception on newer hosts. What ends ComfyUI itself (KeyboardInterrupt, SystemExit) goes straight through.
STOPS = (Exception, mm.InterruptProcessingException)

_handed_on: Counter[str] = Counter()  # id of a node -> how often it gave less than was asked for


def note_handed_on(node: object, made: int, asked: int) -> None:
    """Remember that a node gave only some of its images: the host must not take them for its result next time."""
    if made < asked:
        _handed_on[str(node)] += 1


def times_handed_on(node: object) -> int:
    """Changes whenever a node's last result is not the whole one; a whole one stays valid.

    `node`: None where the host does not say (0.3.75 does not, when it looks for changes): then those of all nodes count.
    """
    return sum(_handed_on.values()) if node is None else _handed_on[str(node)]


class Counted(Protocol):
    """What is finished of a batch."""

    @property
    def count(self) -> int: ...


Described = TypeVar("Described", bound=Batch)
Made = TypeVar("Made", bound=Counted)


def collect_images(
    make: Callable[[Sampling], Finished],
    parts: Sequence[Sampling],
    hand_on: bool = False,
    tell: Callable[[str], None] = logging.warning,
) -> Finished:
    """`collect` for parts whose images are what is kept."""
    return collect(make, parts, join, lambda finished: saved(finished.image), hand_on, tell)


def collect(
    make: Callable[[Described], Made],
    parts: Sequence[Described],
    joined: Callable[[Sequence[Made]], Made],
    keep: Callable[[Made], str],
    hand_on: bool = False,
    tell: Callable[[str], None] = logging.warning,
) -> Made:
    """Make all parts of a batch, one after the other.

    Args:
        make: makes one part.
        joined: finished parts as one.
        keep: writes what is finished to a file, and says where.
        hand_on: on failure or cancel, return the parts that are finished, if there are any.
        tell: where to say what became of them; a failure says it in its own message as well, a cancel has none.
    """
    finished: list[Made] = []
    for part in parts:
        try:
            finished.append(make(part))
        except STOPS as stop:
            if not finished:
                raise
            note = f"{sum(done.count for done in finished)} of {sum(p.batch for p in parts)} images were finished"
            if hand_on:
                tell(f"{note} and handed on: {str(stop).partition(chr(10))[0] or 'cancelled'}")
                break
            note = f"{note} before: {kept(lambda: keep(joined(finished)))}"
            tell(note)
            stop.args = (f"{stop}\n\n{note}" if str(stop) else note,)
            raise
    return joined(finished)


def kept(save: Callable[[], str]) -> str:
    """Save what is finished, and say where; or say why that failed too, and what would have kept it."""
    try:
        return save()
    except Exception as error:  # a full disk, a folder that may not be written to, no memory: the first error counts more
        return (
            f"they could not be saved in ComfyUI's temp folder ({quoted(folder_paths.get_temp_directory(), 200)}):"
            f" {reason(error)}. Make room there, or set AR Decode's if_stopped to '{HAND_ON}'"
        )


def saved(images: Tensor) -> str:
    """Write images to the temp folder, and say where."""
    results = ui.ImageSaveHelper.save_images(images, PREFIX, io.FolderType.temp, cls=None)
    first, last = results[0]["filename"], results[-1]["filename"]
    names = first if len(results) == 1 else f"{first} to {last}"
    return f"they are in ComfyUI's temp folder as {names}. It is emptied when ComfyUI starts"


def node_text(hidden: Hidden | None) -> Callable[[str], None]:
    """Writes to the log and, on hosts that can, under the node."""
    # Not imported: nodes also run where there is no server.
    server = getattr(sys.modules.get("server"), "PromptServer", None)
    send = getattr(getattr(server, "instance", None), "send_progress_text", None)

    def tell(note: str) -> None:
        note = message(note)
        logging.warning("[AR Guidance] %s", note)
        if send is not None and hidden is not None:
            send(note, hidden.unique_id)

    return tell
