"""A run that does not fit into memory: once more in two halves, whose tokens are the same."""

import logging
from collections.abc import Callable
from dataclasses import replace

import comfy.model_management as mm
import torch

from ..types import Sampling
from .batches import Finished, join
from .host import ProgressReport


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on the processor."""
    return isinstance(error, torch.cuda.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "allocate memory" in str(error)
    )


def in_memory(
    make: Callable[[Sampling], Finished], part: Sampling, report: ProgressReport
) -> Finished:
    """Make a part of a batch, in halves where it does not fit.

    Args:
        make: makes images at once.
        report: of progress; its `again` goes back to where the part began.

    Raises:
        Exception: the error of the whole part, where it holds one image or a half does not fit either; it then says so.
    """
    done = report.done
    try:
        return make(part)
    except Exception as error:
        if part.batch == 1 or not out_of_memory(error):
            raise
        failed = error.with_traceback(None)  # a traceback would keep the tensors of the run
    half = part.batch // 2
    logging.warning(
        "[AR Guidance] %d images do not fit into memory at once: again with %d",
        part.batch,
        part.batch - half,
    )
    mm.soft_empty_cache()
    report.again(done)
    images = part.images
    halves = [replace(part, only=images[:half]), replace(part, only=images[half:])]
    try:
        return join([make(one) for one in halves])
    except Exception as error:
        if not out_of_memory(error):
            raise
    failed.args = (
        f"{failed}\n\nNeither {part.batch} images nor {part.batch - half} fit into memory at once: set at_once on AR Decode"
        f" to less than {half}, or choose a smaller size",
    )
    raise failed
