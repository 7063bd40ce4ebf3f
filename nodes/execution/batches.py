"""Batches: which seed each picture has, and large ones in parts, so that what is finished is never lost."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import comfy.model_management as mm
import torch
from torch import Tensor

from ...guidance.record import join_traces
from ...imaging.image_trace import PictureTrace
from ...imaging.tokens import PictureTokens, join_tokens
from ...loaders.place import run_bytes
from ..types import Sampling

MOST_AT_ONCE = (
    64  # more pictures in one pass are hardly faster, and more of them are lost when it fails
)
SHARE = 0.4  # of the device's memory that one pass may take besides the weights


def streams_of(sampling: Sampling) -> list[tuple[int, int]]:
    """(seed, image index) of every picture to be made.

    Picture i of a batch has (seed, i). With a list of seeds, copy j of every entry has (seed j, 0): it is the first picture
    of that seed. A re-rolled picture i has (its own seed, i).
    """
    again = dict(sampling.rerolled)

    def stream(picture: int) -> tuple[int, int]:
        if picture in again:
            return again[picture], picture
        if sampling.seeds:
            return sampling.seeds[picture % sampling.copies], 0
        return sampling.seed, picture

    return [stream(picture) for picture in sampling.pictures]


def pick(given: Any, rows: Sequence[int]) -> Any:
    """Some rows of a condition, whatever it is made of: a tensor with the pictures first, or a dataclass of such."""
    if isinstance(given, Tensor):
        return given[torch.tensor(rows, dtype=torch.long, device=given.device)]
    if is_dataclass(given) and not isinstance(given, type):
        parts = {entry.name: pick(getattr(given, entry.name), rows) for entry in fields(given)}
        return replace(given, **parts)
    return given


def branches_of(sampling: Sampling) -> tuple[Any, Any]:
    """The conditional and the unconditional branch's condition of the pictures to be made."""
    both = sampling.conditioning.branches(sampling.model, sampling.copies)
    if sampling.only is None:
        return both
    return pick(both[0], sampling.only), pick(both[1], sampling.only)


@dataclass(frozen=True)
class Finished:
    """Pictures that are done.

    Attributes:
        image: (B, H, W, 3) in 0-1.
        trace: what was recorded while they were made.
        tokens: what they were decoded from.
        shown: what the viewer shows of them.
    """

    image: Tensor
    trace: PictureTrace
    tokens: PictureTokens
    shown: dict[str, Any] = field(default_factory=dict)


def join(parts: Sequence[Finished]) -> Finished:
    """Parts of a batch as one; the viewer shows the first."""
    if len(parts) == 1:
        return parts[0]
    image, first = torch.cat([part.image for part in parts]), parts[0]
    trace = join_traces([part.trace.trace for part in parts])
    tokens = join_tokens([part.tokens for part in parts])
    shown = {**first.shown, "batch": len(image)} if first.shown else {}
    return Finished(image, PictureTrace.of(trace, image, first.trace.guidance), tokens, shown)


def parts_of(sampling: Sampling) -> list[Sampling]:
    """The same batch as samplings of a few pictures each, which one after the other fit into memory."""
    size, pictures = most_at_once(sampling), sampling.pictures
    if len(pictures) <= size:
        return [sampling]
    starts = range(0, len(pictures), size)
    return [replace(sampling, only=pictures[start : start + size]) for start in starts]


def most_at_once(sampling: Sampling) -> int:
    """How many pictures to make in one pass.

    From the device's whole memory, not from what is free just now: the same batch is split the same way every time.
    """
    model = sampling.model
    two = 2  # branches, if there is guidance; without it the estimate is generous
    one = run_bytes(model.network, model.tokenizer, two, 1)
    more = run_bytes(model.network, model.tokenizer, two * 2, 2) - one
    memory: Any = mm.get_total_memory(model.patcher.load_device)
    room = SHARE * memory - one
    return min(MOST_AT_ONCE, max(1, 1 + int(room // max(more, 1))))
