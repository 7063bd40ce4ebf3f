"""Batches: which seed each image has, and large ones in parts, so that what is finished is never lost."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TypeVar, cast

import comfy.model_management as mm
import torch
from torch import Tensor

from ...conditioning.classes import ClassConditioning
from ...conditioning.compose import most_branches
from ...guidance.record import join_traces
from ...imaging.filmstrip import Maker
from ...imaging.image_trace import ImageTrace
from ...imaging.tokens import ImageTokens, join_tokens
from ...imaging.viewer import Json
from ...loaders.estimate import run_bytes
from ...sampling.mixture import BranchCondition, Mixture
from ..types import EDM2Sampling, Sampling

MOST_AT_ONCE = (
    64  # more images in one pass are hardly faster, and more of them are lost when it fails
)
SHARE = 0.4  # of the device's memory that one pass may take besides the weights


def streams_of(sampling: Sampling | EDM2Sampling) -> list[tuple[int, int]]:
    """(seed, image index) of every image to be made.

    Image i of a batch has (seed, i). With a list of seeds, copy j of every entry has (seed j, 0): it is the first image
    of that seed, or another that the list names. A re-rolled image i has (its own seed, i).
    """
    again = dict(sampling.rerolled)

    def stream(image: int) -> tuple[int, int]:
        if image in again:
            return again[image], image
        if sampling.seeds:
            place = image % sampling.copies
            return sampling.seeds[place], sampling.seed_images[place] if sampling.seed_images else 0
        return sampling.seed, image

    return [stream(image) for image in sampling.images]


def makers_of(sampling: Sampling) -> list[Maker]:
    """What makes every image: its place in the whole batch, its seed and the class it shows."""
    given = sampling.conditioning
    names = given.names if isinstance(given, ClassConditioning) else ()
    made = zip(sampling.images, streams_of(sampling), strict=True)
    return [
        Maker(place, seed, index, names[place // sampling.copies] if names else "")
        for place, (seed, index) in made
    ]


def used_seeds(sampling: Sampling) -> Json:
    """The sampler's seed and the last re-roll's as text, for a browser; None where no image is made with it."""
    again = dict(sampling.rerolled)
    own = not sampling.seeds and any(image not in again for image in sampling.images)
    drawn = [seed for image, seed in sampling.rerolled if image in sampling.images]
    return {
        "sampler": str(sampling.seed) if own else None,
        "reroll": str(drawn[-1]) if drawn else None,
    }


Rows = TypeVar("Rows")


def pick(given: Rows, rows: Sequence[int]) -> Rows:
    """Some rows of a condition, whatever it is made of: a tensor with the images first, or a dataclass of such."""
    if isinstance(given, Mixture):
        return cast(Rows, given.rows(rows, pick))
    if isinstance(given, Tensor):
        return given[torch.tensor(rows, dtype=torch.long, device=given.device)]
    if is_dataclass(given) and not isinstance(given, type):
        parts = {entry.name: pick(getattr(given, entry.name), rows) for entry in fields(given)}
        return replace(given, **parts)
    return given


def branches_of(sampling: Sampling) -> tuple[BranchCondition, BranchCondition]:
    """The conditional and the unconditional branch's condition of the images to be made."""
    if sampling.batch == 1:  # as if alone: a prompt is not padded to the longest of the batch
        own = sampling.conditioning.entry(sampling.images[0] // sampling.copies)
        return own.branches(sampling.model, 1)
    both = sampling.conditioning.branches(sampling.model, sampling.copies)
    if sampling.only is None:
        return both
    return pick(both[0], sampling.only), pick(both[1], sampling.only)


@dataclass(frozen=True)
class Finished:
    """Images that are done.

    Attributes:
        image: (B, H, W, 3) in 0-1.
        trace: what was recorded while they were made.
        tokens: what they were decoded from.
        shown: what the viewer shows of them.
        notes: what a user should know about the guidance in this run.
    """

    image: Tensor
    trace: ImageTrace
    tokens: ImageTokens
    shown: Json = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.image)


def join(parts: Sequence[Finished]) -> Finished:
    """Parts of a batch as one; the viewer looks inside the first and has the filmstrip of all."""
    if len(parts) == 1:
        return parts[0]
    image, first = torch.cat([part.image for part in parts]), parts[0]
    trace = join_traces([part.trace.trace for part in parts])
    tokens = join_tokens([part.tokens for part in parts])
    strip = [entry for part in parts for entry in cast(list, part.shown.get("strip", []))]
    shown = {**first.shown, "batch": len(image), "strip": strip} if first.shown else {}
    return Finished(
        image, ImageTrace.of(trace, image, first.trace.guidance), tokens, shown, first.notes
    )


def parts_of(sampling: Sampling, at_once: int = 0) -> list[Sampling]:
    """The same batch as samplings of a few images each, which one after the other fit into memory.

    Processors round matrix products of different sizes differently, so an image made with others may, rarely, differ from
    the same one alone: `at_once` = 1 makes every image by the very operations it takes alone, bit for bit.

    Args:
        at_once: images in one pass, at most; 0 = as many as are fast and fit.
    """
    most, images = most_at_once(sampling), sampling.images
    size = min(most, at_once) if at_once else most
    if len(images) <= size:
        return [sampling]
    starts = range(0, len(images), size)
    return [replace(sampling, only=images[start : start + size]) for start in starts]


def most_at_once(sampling: Sampling) -> int:
    """How many images to make in one pass.

    From the device's whole memory, not from what is free just now: the same batch is split the same way every time.
    """
    room = SHARE * cast(int, mm.get_total_memory(sampling.model.patcher.load_device))
    fitting = (n for n in range(MOST_AT_ONCE, 1, -1) if run_needs(sampling, n) <= room)
    return next(fitting, 1)


def run_needs(sampling: Sampling, images: int) -> int:
    """Bytes that so many images made at once are estimated to take besides the weights."""
    model, branches = sampling.model, most_branches(sampling.conditioning)
    return run_bytes(
        model.network,
        model.tokenizer,
        branches * images,
        images,
        cache=sampling.sampler_settings.cache,
    )
