"""Tokens of images as they travel on a link: what they are, whose they are, and how to go on from them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..loaders.quote import quoted
from ..models.family import Kind
from ..models.parts.sizes import TransformerConfig
from ..sampling.loops import LOOPS, Grid, grids_of, picture_size, scale_codec
from ..sampling.model import Model

KINDS = ("scale", "token", "discrete")


@dataclass(frozen=True, eq=False)
class ImageTokens:
    """Tokens of B images.

    Attributes:
        kind: "scale", "token" or "discrete", as `Family.kind`.
        grids: (h, w) of every step; of images that are no sum of scales, the one grid of the image.
        steps: of every scale (B, T), or bits (B, T, D); of other images one line (B, T).
        codec: fingerprint of the tokenizer that gives them their meaning (see `ARModel.codec`).
        family: title of the model they were made by or for.
        features: (B, Z, H, W), the map the images are decoded from where the tokens alone do not say it.

    Raises:
        ValueError: these do not fit each other.
    """

    kind: Kind
    grids: tuple[Grid, ...]
    steps: tuple[Tensor, ...]
    codec: str
    family: str
    features: Tensor | None = None

    def __post_init__(self) -> None:
        check_shapes(self.kind, self.grids, self.steps)
        if self.features is not None and not self._have_features():
            raise ValueError("its feature map does not belong to its tokens")

    @property
    def batch(self) -> int:
        """Pictures."""
        return len(self.steps[0])

    def _have_features(self) -> bool:
        assert self.features is not None
        return (
            self.kind == "scale" and self.features.dim() == 4 and len(self.features) == self.batch
        )

    def check(self, model: Model, grids: Sequence[Grid] | None = None) -> None:
        """Raise ValueError when they are not tokens of this model, naming both.

        `grids`: of the run they are for, where the model has several sizes.
        """
        if self.codec != model.codec or self.kind != model.family.kind:
            raise ValueError(
                f"these tokens belong to another model: they were made for {quoted(self.family)} with the image tokenizer"
                f" {quoted(self.codec)}, and {quoted(model.name)} ({model.family.title}) has {model.codec}. Connect the model they"
                " were made with, or send the image through AR Image to Tokens with this one"
            )
        self._check_grids(model)
        self._check_range(model)
        if grids is not None and tuple(grids) != self.grids:
            had, has = (picture_size(model, one) for one in (self.grids, grids))
            raise ValueError(
                f"these tokens are of another image size: {describe_grids(self.grids)}, and this run of {quoted(model.name)}"
                f" has {describe_grids(grids)}. Set AR Sampler's size to {had[1]}x{had[0]}, or scale the image to"
                f" {has[1]}x{has[0]} pixels before it goes through AR Image to Tokens"
            )

    def _check_grids(self, model: Model) -> None:
        """Raise ValueError when images of this model and size have other grids or another number of tokens.

        Another model of the same tokenizer may make scale-wise images of sizes that this one does not.
        """
        config = config_of(model, self.grids[-1])
        if config is None and self.kind == "scale":
            return
        if config is None or LOOPS[self.kind].image_grids(config) != self.grids:
            raise ValueError(
                f"these tokens do not fit {quoted(model.name)} ({model.family.title}): it makes no images of"
                f" {describe_grids(self.grids)}. Connect the model they were made with, or load another file"
            )
        if self.kind != "scale" and self.steps[0].shape[1] != config.length:
            raise ValueError(
                f"these tokens are damaged: there are {self.steps[0].shape[1]} of each image, and images of"
                f" {quoted(model.name)} have {config.length}. Load another file"
            )

    def _check_range(self, model: Model) -> None:
        """Raise ValueError when a file held numbers that no tokenizer gave."""
        codes = model.tokenizer.config.vocab
        form = () if codes else (model.config.vocab // 2,)  # two logits per bit
        if tuple(self.steps[0].shape[2:]) != form:
            raise ValueError(
                f"these tokens are damaged: a token of {quoted(model.name)} is {f'{form[0]} bits' if form else 'one number'}."
                " Load another file"
            )
        end = codes or 2
        if any(bool(((step < 0) | (step >= end)).any()) for step in self.steps):
            raise ValueError(
                f"these tokens are damaged: some are not between 0 and {end - 1}. Load another file"
            )
        if self.features is not None:
            empty = scale_codec(model).empty_features(self.batch, self.grids, torch.device("meta"))
            if self.features.shape != empty.shape:
                raise ValueError(
                    f"these tokens are damaged: a feature map of {tuple(self.features.shape)} comes with them, and"
                    f" {quoted(model.name)} has {tuple(empty.shape)}. Load another file"
                )

    def pick(self, rows: Sequence[int]) -> "ImageTokens":
        """The tokens of some of the images."""
        index = torch.tensor(rows, dtype=torch.long)
        features = None if self.features is None else self.features[index]
        return replace(self, steps=tuple(step[index] for step in self.steps), features=features)

    def __repr__(self) -> str:
        return (
            f"AR tokens: {self.batch} images of {quoted(self.family)}, {describe_grids(self.grids)}"
        )


def check_shapes(kind: str, grids: Sequence[Grid], steps: Sequence[Tensor]) -> None:
    """Raise ValueError when these cannot be the tokens of any images, see `ImageTokens`."""
    if kind not in KINDS:
        raise ValueError(f"its kind is '{quoted(kind)}'")
    if not grids or any(side < 1 for grid in grids for side in grid):
        raise ValueError(f"its grids are {list(grids)}")
    if len(steps) != len(grids) or kind != "scale" and len(grids) != 1:
        raise ValueError(f"it has {len(grids)} grids and {len(steps)} steps")
    batch, form = len(steps[0]), steps[0].shape[2:]
    if not batch:
        raise ValueError("it holds no image")
    for step, (height, width) in zip(steps, grids, strict=True):
        if step.dim() not in ((2, 3) if kind == "scale" else (2,)) or step.shape[2:] != form:
            raise ValueError("its tokens are of several kinds")
        count, cells = step.shape[1], height * width
        # A line may begin with tokens that stand for no place in the image: how many, only the model knows.
        if len(step) != batch or count < cells or count > cells and kind == "scale":
            raise ValueError(
                f"{tuple(step.shape)} tokens do not fit {describe_grids(grids)} of {batch} images"
            )


def config_of(model: Model, grid: Grid) -> TransformerConfig | None:
    """The model's config for images whose finest grid this is; None where it makes no such images."""
    if grid == grids_of(model)[-1]:
        return model.config
    return (
        model.family.at(model.config, grid) if grid in model.family.frames(model.config) else None
    )


def describe_grids(grids: Sequence[Grid]) -> str:
    """ "7 scales up to 8x8", or "16x16"."""
    last = f"{grids[-1][0]}x{grids[-1][1]}"
    return last if len(grids) == 1 else f"{len(grids)} scales up to {last}"


def owned(
    model: Model, grids: Sequence[Grid], steps: Sequence[Tensor], features: Tensor | None = None
) -> ImageTokens:
    """Tokens just made by a model, on the CPU."""
    return ImageTokens(
        kind=model.family.kind,
        grids=tuple(grids),
        steps=tuple(step.cpu() for step in steps),
        codec=model.codec,
        family=model.family.title,
        features=None if features is None else features.cpu(),
    )


def features_of(tokens: ImageTokens, model: Model, device: torch.device) -> Tensor:
    """What the tokenizer decodes, (B, Z, H, W)."""
    if tokens.features is not None:
        return tokens.features.to(device)
    steps = [step.to(device) for step in tokens.steps]
    return LOOPS[tokens.kind].sum(model, steps, tokens.grids)


def tokens_of(model: Model, images: Tensor, grids: Sequence[Grid]) -> ImageTokens:
    """Images (B, 3, H, W) in [-1, 1], as large as the model's, through the tokenizer's encoder."""
    size = picture_size(model, grids)
    assert tuple(images.shape[-2:]) == size, (images.shape, size)
    steps, features = LOOPS[model.family.kind].encode(model, images, grids)
    return owned(model, grids, steps, features)


def join_tokens(parts: Sequence[ImageTokens]) -> ImageTokens:
    """Tokens of several batches of one model as one."""
    steps = zip(*(part.steps for part in parts), strict=True)
    maps = [part.features for part in parts if part.features is not None]
    return replace(
        parts[0],
        steps=tuple(torch.cat(step) for step in steps),
        features=torch.cat(maps) if len(maps) == len(parts) else None,
    )
