"""An edit: what a run keeps of images there already are, and how that is said to the loops."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from ..guidance.base import RunInfo
from ..sampling.draw import Streams
from ..sampling.edit import KeptSequence, KeptTokens, inpainting, keep_first, repainted_cells
from ..sampling.model import Model
from ..sampling.pixels import compose
from .tokens import ImageTokens

BLENDED, TOKENS_ONLY = "blend features", "tokens only"
WHICH_TOKENS = 0x5EED  # turns an image's seed into one for which tokens to keep, apart from how others are drawn


@dataclass(frozen=True, eq=False)
class Edit:
    """An edit that has not happened.

    Attributes:
        source: tokens of the images it starts from.
        kept: share of the steps kept everywhere, 0-1: of the scales, coarse ones first; or of the token sequence, of a
            masked one the share of what lies inside the mask, in reading order.
        mask: (M, H, W) at the image's size, 1 = draw again; None = everywhere.
        softness: pixels over which what is drawn again fades in from the mask's edge.
        blend: whether it fades in the feature map as well, so that no seam forms.
        pixels: (P, H, W, 3) that the finished image shows outside the mask, or None.
        lower: the finished image is the lower half alone, the upper one being given (images of two panels).
    """

    source: ImageTokens
    kept: float = 0.0
    mask: Tensor | None = None
    softness: int = 0
    blend: bool = True
    pixels: Tensor | None = None
    lower: bool = False

    def __post_init__(self) -> None:
        if not (0 <= self.kept <= 1 and self.softness >= 0):
            raise ValueError(
                f"a share of {self.kept} cannot be kept, nor can {self.softness} pixels fade"
            )

    def __repr__(self) -> str:
        return f"AR edit: {self.source}, {self.kept:.0%} of the steps kept"


def row_of(count: int, whole: int, images: Sequence[int], what: str) -> list[int]:
    """Which of `count` given things each image takes: one for all, one each, or every one for several in a row.

    Raises:
        ValueError: `count` does not divide the whole batch.
    """
    if whole % count:
        raise ValueError(
            f"there are {count} {what} for a batch of {whole} images: give one for all, one for each, or change"
            f" the batch size to a multiple of {count}"
        )
    return [image * count // whole for image in images]


class Edited(Protocol):
    """A run, as far as an edit looks at it; `nodes.types.Sampling` is one."""

    @property
    def edit(self) -> Edit | None: ...

    @property
    def model(self) -> Model: ...

    @property
    def whole(self) -> int:
        """Images of the whole batch."""
        ...

    @property
    def images(self) -> tuple[int, ...]:
        """Places in the whole batch of the images to make."""
        ...


def kept_by(
    sampling: Edited, run: RunInfo, streams: Sequence[tuple[int, int]]
) -> KeptTokens | KeptSequence | None:
    """What the loop must keep: `KeptTokens`, `KeptSequence`, or None without an edit.

    `streams`: (seed, image index) of every image to be made.

    Raises:
        ValueError: the edit's tokens do not fit the model, or their number the batch.
    """
    edit = sampling.edit
    if edit is None:
        return None
    model = sampling.model
    grids = run.grids if run.kind == "scale" else (model.config.grid,)
    edit.source.check(model, grids)
    rows = row_of(edit.source.batch, sampling.whole, sampling.images, "images to start from")
    source = edit.source.pick(rows)
    mask = _mask_rows(edit, sampling)
    if run.kind == "scale":
        return _kept_scales(edit, source, mask, run, streams)
    return _kept_sequence(edit, source, mask)


def _mask_rows(edit: Edit, sampling: Edited) -> Tensor | None:
    """The mask of every image to be made, (B, H, W)."""
    if edit.mask is None:
        return None
    return edit.mask[row_of(len(edit.mask), sampling.whole, sampling.images, "masks")]


def _kept_scales(
    edit: Edit,
    source: ImageTokens,
    mask: Tensor | None,
    run: RunInfo,
    streams: Sequence[tuple[int, int]],
) -> KeptTokens:
    grids = run.grids
    which = Streams.of((seed ^ WHICH_TOKENS, image) for seed, image in streams)
    uniforms = [which.uniforms(grid, torch.device("cpu")) for grid in grids]
    first = keep_first(edit.kept * len(grids), grids, uniforms)
    if mask is None:
        return KeptTokens(source.steps, first, features=source.features)
    kept = inpainting(source.steps, mask, grids, edit.softness, edit.blend, source.features)
    both = [early | outside for early, outside in zip(first, kept.masks, strict=True)]
    return replace(kept, masks=both)


def _kept_sequence(edit: Edit, source: ImageTokens, mask: Tensor | None) -> KeptSequence:
    """The first of the tokens that may change, and what lies outside the mask.

    Without a mask all of them may; with one, those inside: tokens that stand for no place in the image are kept.
    """
    tokens, grid = source.steps[0], source.grids[0]
    free = torch.ones_like(tokens, dtype=torch.bool)
    if mask is not None:
        inside = repainted_cells(mask, grid).flatten(1)
        free[:, : free.shape[1] - inside.shape[1]] = False
        free[:, free.shape[1] - inside.shape[1] :] = inside
    first = free.cumsum(1) <= (edit.kept * free.sum(1, keepdim=True)).round()
    return KeptSequence(tokens, first | ~free)


def composite(image: Tensor, sampling: Edited) -> Tensor:
    """IMAGE (B, H, W, 3) with the edit's own pixels outside its mask, exactly; fading in from the mask's edge."""
    edit = sampling.edit
    mask = None if edit is None else _mask_rows(edit, sampling)
    if edit is None or edit.pixels is None or mask is None:
        return image
    rows = row_of(len(edit.pixels), sampling.whole, sampling.images, "images")
    return compose(image, edit.pixels[rows], mask, edit.softness)


def shown(image: Tensor, sampling: Edited) -> Tensor:
    """Of IMAGE (B, H, W, 3), what is handed on: everything, or the panel that was drawn."""
    edit = sampling.edit
    return image[:, image.shape[1] // 2 :] if edit is not None and edit.lower else image
