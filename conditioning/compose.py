"""Several conditions in one image: regions over a background, and blends of two."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from ..sampling.mixture import Mixture, Path
from ..sampling.model import Model
from ..sampling.regions import Layer, Region
from .base import Condition
from .classes import ClassConditioning
from .prompt import PromptConditioning
from .text import TextConditioning

MOST = 32  # conditions of one image, the background among them
KINDS: dict[type, str] = {
    ClassConditioning: "classes (AR Class Condition)",
    TextConditioning: "encoded text (AR Text Condition)",
    PromptConditioning: "prompts (AR Prompt Condition)",
}


@dataclass(frozen=True, eq=False)
class Part:
    """A condition and where it holds."""

    condition: Condition
    region: Region


@dataclass(frozen=True, eq=False)
class Composition:
    """Conditions that share an image. A part or the background may be a composition itself.

    Attributes:
        background: what no part covers.
        parts: side by side; where they overlap, they share.

    Raises:
        ValueError: conditions of different models, of numbers that do not fit, or too many.
    """

    background: Condition
    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        leaves = list(self.leaves())
        if len(leaves) > MOST:
            raise ValueError(
                f"{len(leaves)} conditions in one image are too many: at most {MOST}, the background among them. Join"
                " masks of regions that show the same"
            )
        _check_kinds(leaves)
        counts = {leaf.count for leaf in leaves} - {1}
        masks = {len(mask) for mask in self._masks()} - {1}
        if len(counts | masks) > 1:
            raise ValueError(
                f"the conditions and masks of a composed image are for {_listed(counts | masks)} images: give each of"
                " them one entry for all images, or all the same number"
            )

    @property
    def count(self) -> int:
        """Entries: of the conditions, or of the masks where there are more of those."""
        return max([leaf.count for leaf in self.leaves()] + [len(mask) for mask in self._masks()])

    @property
    def most_branches(self) -> int:
        """Branches of a run with guidance, at most: one for each condition, and one, or one each, to push away from."""
        leaves = list(self.leaves())
        shared = all(isinstance(leaf, ClassConditioning) for leaf in leaves)
        return len(leaves) + (1 if shared else len(leaves))

    def leaves(self) -> Iterator[Condition]:
        """The conditions that are no compositions."""
        for condition in (self.background, *(part.condition for part in self.parts)):
            if isinstance(condition, Composition):
                yield from condition.leaves()
            else:
                yield condition

    def check(self, model: Model) -> None:
        for leaf in self.leaves():
            leaf.check(model)

    def branches(self, model: Model, copies: int) -> tuple[Mixture, Mixture]:
        """Both branches' mixtures, every entry `copies` times."""
        found = list(self._placed((), copies, self.count))
        whole = copies * self.count
        both = [leaf.branches(model, copies if leaf.count > 1 else whole) for leaf, _ in found]
        paths = tuple(path for _, path in found)
        cond, uncond = zip(*both, strict=True)
        return Mixture(cond, paths), Mixture(uncond, paths)

    def entry(self, index: int) -> "Composition":
        parts = tuple(
            Part(_entry(part.condition, index), part.region.rows([index])) for part in self.parts
        )
        return Composition(_entry(self.background, index), parts)

    def _masks(self) -> Iterator[Tensor]:
        for part in self.parts:
            if part.region.mask is not None:
                yield part.region.mask
        for condition in (self.background, *(part.condition for part in self.parts)):
            if isinstance(condition, Composition):
                yield from condition._masks()

    def _placed(self, outer: Path, copies: int, count: int) -> Iterator[tuple[Condition, Path]]:
        """Every leaf with its place among the layers; masks as many as images."""
        images = [entry for entry in range(count) for _ in range(copies)]
        layer = Layer(tuple(part.region.rows(images) for part in self.parts))
        conditions = (self.background, *(part.condition for part in self.parts))
        for place, condition in enumerate(conditions):
            path = (*outer, (layer, place))
            if isinstance(condition, Composition):
                yield from condition._placed(path, copies, count)
            else:
                yield condition, path

    def __repr__(self) -> str:
        shown = [repr(self.background).removeprefix("AR conditioning: ")]
        for part in self.parts:
            how = "blended with" if part.region.mask is None else "with a region of"
            shown.append(f"{how} {repr(part.condition).removeprefix('AR conditioning: ')}")
        return f"AR conditioning: {', '.join(shown)}"


def add_region(background: Condition, condition: Condition, region: Region) -> Composition:
    """A region beside those that the background already has, or over all of it."""
    part = Part(condition, region)
    if isinstance(background, Composition) and all(
        other.region.mask is not None for other in background.parts
    ):
        return replace(background, parts=(*background.parts, part))
    return Composition(background, (part,))


def blend(first: Condition, second: Condition, region: Region) -> Composition:
    """Two conditions everywhere: (1 - weight) of the first and weight of the second, between the region's start and end."""
    return Composition(first, (Part(second, region),))


def softened(mask: Tensor, width: int) -> Tensor:
    """A mask (M, H, W) that fades over about `width` pixels, centred on its edge.

    A mean over a window, twice: masks that add up to 1 still do. Outside the image the mask goes on as at its border.
    """
    reach = min(max(width // 4, 1), *(side - 1 for side in mask.shape[-2:]))
    if width < 1 or reach < 1:
        return mask.float()
    soft = mask.float()[:, None]
    for _ in range(2):
        for kernel, pad in (
            ((2 * reach + 1, 1), (0, 0, reach, reach)),
            ((1, 2 * reach + 1), (reach, reach, 0, 0)),
        ):
            soft = F.avg_pool2d(F.pad(soft, pad, mode="replicate"), kernel, stride=1)
    return soft[:, 0].clamp(0, 1)


def _entry(condition: Condition, index: int) -> Condition:
    return condition.entry(index if condition.count > 1 else 0)


def _check_kinds(leaves: Sequence[Condition]) -> None:
    """Raise ValueError where conditions are of different kinds, or of models with other classes."""
    kinds = {type(leaf) for leaf in leaves}
    if len(kinds) > 1:
        names = _listed({KINDS.get(kind, kind.__name__) for kind in kinds})
        raise ValueError(
            f"the conditions of one image must be of one model, but these are {names}: connect all of them to the same AR"
            " Load Checkpoint, and use the same condition node"
        )
    classes = {leaf.classes for leaf in leaves if isinstance(leaf, ClassConditioning)}
    if len(classes) > 1:
        raise ValueError(
            f"the conditions of one image must be of one model, but these are of models with {_listed(classes)} classes:"
            " connect all of them to the same AR Load Checkpoint"
        )


def _listed(values: set[Any]) -> str:
    """Values as words: a, b and c."""
    *most, last = sorted(str(value) for value in values)
    return f"{', '.join(most)} and {last}" if most else last


def checked_mask(mask: Tensor) -> Tensor:
    """A mask (M, H, W) as a region takes it.

    Raises:
        ValueError: one of them marks nothing.
    """
    mask = mask.float().clamp(0, 1)
    empty = [str(i + 1) for i, one in enumerate(mask) if not bool((one > 0).any())]
    if empty:
        which = "the mask is" if len(mask) == 1 else f"mask {', '.join(empty)} is"
        raise ValueError(
            f"{which} empty, so the region would be nowhere: paint white where it is to hold (a mask from an image's alpha"
            " channel may have to be inverted)"
        )
    return mask
