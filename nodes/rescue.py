"""A batch made in parts: when a later part fails or the run is cancelled, what is finished is not lost.

The host lets a node either fail or give outputs, not both. So a run that stops leaves its finished pictures as files in
the temp folder and names them in the message; or, where the user asked for that, hands them on as if they were all.
"""

import logging
from collections.abc import Callable, Sequence

from comfy_api.v0_0_2 import io, ui
from torch import Tensor

from .batches import Finished, join
from .types import Sampling

PREFIX = "ar-guidance-finished"


def collect(
    make: Callable[[Sampling], Finished], parts: Sequence[Sampling], hand_on: bool = False
) -> Finished:
    """Make all parts of a batch, one after the other.

    Args:
        make: makes one part.
        hand_on: on failure or cancel, return the parts that are finished, if there are any.
    """
    finished: list[Finished] = []
    for part in parts:
        try:
            finished.append(make(part))
        except BaseException as stop:  # a cancel is no Exception on newer hosts
            if not finished:
                raise
            made, wanted = join(finished), sum(part.batch for part in parts)
            if hand_on:
                _tell(f"stopped with {len(made.image)} of {wanted} pictures finished: {stop}")
                return made
            note = (
                f"{len(made.image)} of {wanted} pictures were finished before: {saved(made.image)}"
            )
            _tell(note)
            stop.args = (f"{stop}\n\n{note}" if str(stop) else note,)
            raise
    return join(finished)


def saved(images: Tensor) -> str:
    """Write pictures to the temp folder, and say where."""
    results = ui.ImageSaveHelper.save_images(images, PREFIX, io.FolderType.temp, cls=None)
    first, last = results[0]["filename"], results[-1]["filename"]
    names = first if len(results) == 1 else f"{first} to {last}"
    return f"they are in ComfyUI's temp folder as {names}. It is emptied when ComfyUI starts"


def _tell(note: str) -> None:
    """Say it where it can be read even when the host shows no message, as for a cancel."""
    logging.warning("[AR Guidance] %s", note)
