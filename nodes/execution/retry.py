"""A run that does not fit into memory: once more in two halves, whose tokens are the same."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar, cast

import comfy.model_management as mm
import torch

from ..types import EDM2Sampling, Sampling
from .host import ProgressReport

Described = TypeVar("Described", Sampling, EDM2Sampling)
Made = TypeVar("Made")

# What PyTorch says where it has no type for it: on the processor (Linux and macOS; Windows; oneDNN, which has no room for
# its code), and on Apple's GPUs.
WORDS = (
    "allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "could not create a primitive",
    "backend out of memory",
)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on the processor."""
    known = getattr(mm, "is_oom", None)  # newer hosts know more kinds than the one type
    if known is not None and known(error):
        return True
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in WORDS)


@dataclass(frozen=True)
class Halves(Generic[Described, Made]):
    """How a part of a batch is made in halves.

    Attributes:
        make: makes images at once.
        join: what the halves made as one.
        needs: images made at once -> bytes they are estimated to take besides the weights.
        device: where they are made.
        fewer: what a user does to have fewer images made at once, with `{}` for how many.
    """

    make: Callable[[Described], Made]
    join: Callable[[Sequence[Made]], Made]
    needs: Callable[[int], int]
    device: torch.device
    fewer: str = "set images_at_once on AR Decode to {}"

    def run(self, part: Described, report: ProgressReport) -> Made:
        """Make a part of a batch, in halves where it does not fit.

        Args:
            report: of progress; its `again` goes back to where the part began.

        Raises:
            Exception: the error of the whole part, where it holds one image or a half does not fit either; it then says
                what would fit.
        """
        done = report.done
        try:
            return self.make(part)
        except Exception as error:
            if not out_of_memory(error):
                raise
            failed = error.with_traceback(None)  # a traceback would keep the tensors of the run
        mm.soft_empty_cache()
        smaller = part.batch - part.batch // 2
        if smaller < part.batch:
            logging.warning(
                "[AR Guidance] %d images do not fit into memory at once: again with %d",
                part.batch,
                smaller,
            )
            report.again(done)
            try:
                return self.join([self.make(half) for half in halves(part)])
            except Exception as error:
                if not out_of_memory(error):
                    raise
        failed.args = (f"{failed}\n\n{self.what_fits(part.batch, smaller)}",)
        raise failed

    def what_fits(self, images: int, smaller: int) -> str:
        """In words, what does not fit and, by estimate, what would: fewer than `smaller` images."""
        free = cast(int, mm.get_free_memory(self.device))
        fitting = sum(self.needs(count) <= free for count in range(1, smaller))
        said = "The image does not fit into memory"
        if images > 1:
            said = f"Neither {images} images nor {smaller} fit into memory at once"
        told = f"One takes about {amount(self.needs(1))} besides the model, and {amount(free)} are free"
        advice = self.fewer.format(fitting) if fitting else "choose a smaller size or model"
        return f"{said}. {told}: {advice}"


def chained(lists: Sequence[list[Made]]) -> list[Made]:
    """Several lists as one."""
    return [entry for some in lists for entry in some]


def halves(part: Described) -> tuple[Described, Described]:
    """The images of a part as two."""
    middle = part.batch // 2
    return replace(part, only=part.images[:middle]), replace(part, only=part.images[middle:])


def amount(size: int) -> str:
    """Bytes in words."""
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size / 2**20:.0f} MB"
