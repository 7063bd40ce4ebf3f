"""Several conditions in one image: regions over a background, and blends of two."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.parts.text import NetworkCondition
from ..sampling.loops import grids_of, picture_size
from ..sampling.mixture import BranchCondition, Mixture, Path, as_mixture
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


@dataclass(frozen=True)
class Box:
    """A rectangle of the image.

    Attributes:
        top, left, height, width: in pixels, or in shares of the image.
        shares: which of both.
    """

    top: float
    left: float
    height: float
    width: float
    shares: bool = False

    def mask(self, height: int, width: int) -> Tensor:
        """(1, height, width) in 0-1, 1 inside; pixels that it cuts have the share of them that lies inside.

        Raises:
            ValueError: none does.
        """
        sides = (height, width) if self.shares else (1, 1)
        rows = _covered(self.top * sides[0], self.height * sides[0], height)
        columns = _covered(self.left * sides[1], self.width * sides[1], width)
        made = rows[:, None] * columns
        if not bool(made.any()):
            raise ValueError(
                f"an area of a prompt lies outside the image, which has {width}x{height} pixels: change x, y, width or"
                " height of Conditioning (Set Area)"
            )
        return made[None]


def _covered(start: float, length: float, count: int) -> Tensor:
    """Of every one of `count` pixels, how much lies between start and start + length."""
    pixel = torch.arange(count)
    return ((start + length - pixel).clamp(0, 1) - (start - pixel).clamp(0, 1)).clamp_min(0)


@dataclass(frozen=True, eq=False)
class Part:
    """A condition and where it holds: in a region, and of that in a box if there is one."""

    condition: Condition
    region: Region
    box: Box | None = None

    def placed(self, size: tuple[int, int], images: Sequence[int]) -> Region:
        """The region of these images, of (height, width) pixels."""
        region = self.region.rows(images)
        if self.box is None:
            return region
        mask = self.box.mask(*size)
        if region.mask is not None:
            mask = mask * F.interpolate(region.mask[:, None], size=size, mode="area")[:, 0]
        return replace(region, mask=mask)


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
        leaves = list(leaves_of(self))
        if len(leaves) > MOST:
            raise ValueError(
                f"{len(leaves)} conditions in one image are too many: at most {MOST}, the background among them. Join"
                " masks of regions that show the same"
            )
        _check_kinds(leaves)
        counts = set(self._counts()) - {1}
        if len(counts) > 1:
            raise ValueError(
                f"the conditions and masks of a composed image are for {_listed(counts)} images: give each of them one"
                " entry for all images, or all the same number"
            )

    @property
    def members(self) -> tuple[Condition, ...]:
        """The background and every part's condition."""
        return (self.background, *(part.condition for part in self.parts))

    @property
    def count(self) -> int:
        """Entries: of the conditions, or of the masks where there are more of those."""
        return max(self._counts())

    def check(self, model: Model) -> None:
        for condition in self.members:
            condition.check(model)

    def branches(self, model: Model, copies: int) -> tuple[Mixture, Mixture]:
        """Both branches' mixtures, every entry `copies` times."""
        count, size = self.count, picture_size(model, grids_of(model))
        images = [entry for entry in range(count) for _ in range(copies)]
        layer = Layer(tuple(part.placed(size, images) for part in self.parts))
        sides: tuple[list[NetworkCondition], list[NetworkCondition]] = ([], [])
        paths: tuple[list[Path], list[Path]] = ([], [])
        for place, member in enumerate(self.members):
            both = member.branches(model, copies if member.count == count else copies * count)
            for side, given in enumerate(map(as_mixture, both)):
                sides[side].extend(given.conditions)
                paths[side].extend(((layer, place), *path) for path in given.paths)
        cond, uncond = (Mixture(tuple(c), tuple(p)) for c, p in zip(sides, paths, strict=True))
        return cond, uncond

    def entry(self, index: int) -> "Composition":
        parts = tuple(
            replace(part, condition=_entry(part.condition, index), region=part.region.rows([index]))
            for part in self.parts
        )
        return Composition(_entry(self.background, index), parts)

    def _counts(self) -> list[int]:
        """How many images each condition and each mask is for."""
        masks = [part.region.mask for part in self.parts]
        return [member.count for member in self.members] + [
            len(mask) for mask in masks if mask is not None
        ]

    def __repr__(self) -> str:
        shown = [_words(self.background)]
        for part in self.parts:
            everywhere = part.region.mask is None and part.box is None
            how = "blended with" if everywhere else "with a region of"
            shown.append(f"{how} {_words(part.condition)}")
        return f"AR conditioning: {', '.join(shown)}"


@dataclass(frozen=True, eq=False)
class Against:
    """A condition with a negative that is composed on its own."""

    positive: Condition
    negative: Condition

    @property
    def count(self) -> int:
        return self.positive.count

    def check(self, model: Model) -> None:
        self.positive.check(model)
        self.negative.check(model)
        if self.negative.count not in (1, self.count):
            raise ValueError(
                f"there are {self.negative.count} negative prompts for {self.count} positive ones: give one for all, or one"
                " each"
            )

    def branches(self, model: Model, copies: int) -> tuple[BranchCondition, BranchCondition]:
        whole = copies if self.negative.count == self.count else copies * self.count
        return self.positive.branches(model, copies)[0], self.negative.branches(model, whole)[0]

    def entry(self, index: int) -> "Against":
        return Against(_entry(self.positive, index), _entry(self.negative, index))

    def __repr__(self) -> str:
        return f"AR conditioning: {_words(self.positive)}, with a negative prompt"


def leaves_of(condition: Condition) -> Iterator[Condition]:
    """The conditions that a condition is composed of; negatives that are composed on their own are left out."""
    if isinstance(condition, Composition):
        for member in condition.members:
            yield from leaves_of(member)
    elif isinstance(condition, Against):
        yield from leaves_of(condition.positive)
    else:
        yield condition


def most_branches(condition: Condition) -> int:
    """Branches of a run with guidance, at most: of every condition one, and one, or one each, to push away from."""
    if isinstance(condition, Against):
        return len(list(leaves_of(condition.positive))) + len(list(leaves_of(condition.negative)))
    leaves = list(leaves_of(condition))
    shared = all(isinstance(leaf, ClassConditioning) for leaf in leaves)
    return len(leaves) + (1 if shared else len(leaves))


def add_region(
    background: Condition, condition: Condition, region: Region, box: Box | None = None
) -> Composition:
    """A region beside those that the background already has, or over all of it."""
    part = Part(condition, region, box)
    if isinstance(background, Composition) and all(
        other.region.mask is not None or other.box is not None for other in background.parts
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
    soft, side = mask.float()[:, None], 2 * reach + 1
    for kernel, pad in [((side, 1), (0, 0, reach, reach)), ((1, side), (reach, reach, 0, 0))] * 2:
        soft = F.avg_pool2d(F.pad(soft, pad, mode="replicate"), kernel, stride=1)
    return soft[:, 0].clamp(0, 1)


def checked_mask(mask: Tensor) -> Tensor:
    """A mask (M, H, W) as a region takes it.

    Raises:
        ValueError: one of them marks nothing, or holds what is no number.
    """
    if not bool(mask.isfinite().all()):
        raise ValueError(
            "the mask holds values that are not numbers (NaN or infinite): the node it comes from failed, connect another"
        )
    mask = mask.float().clamp(0, 1)
    empty = [str(i + 1) for i, one in enumerate(mask) if not bool((one > 0).any())]
    if empty:
        which = "the mask is" if len(mask) == 1 else f"mask {', '.join(empty)} is"
        raise ValueError(
            f"{which} empty, so the region would be nowhere: paint white where it is to hold (a mask from an image's alpha"
            " channel may have to be inverted)"
        )
    return mask


def _entry(condition: Condition, index: int) -> Condition:
    return condition.entry(index if condition.count > 1 else 0)


def _words(condition: Condition) -> str:
    return repr(condition).removeprefix("AR conditioning: ")


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


def _listed(values: Iterable[object]) -> str:
    """Values as words: a, b and c."""
    *most, last = sorted(str(value) for value in values)
    return f"{', '.join(most)} and {last}" if most else last
