"""Tokens of pictures as they travel on a link: what they are, whose they are, and how to go on from them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...loaders.checkpoint import ARModel
from .loops import LOOPS, Grid, picture_size


@dataclass(frozen=True, eq=False)
class PictureTokens:
    """Tokens of B pictures.

    Attributes:
        kind: "scale" or "token".
        grids: (h, w) of every step; of token-wise pictures, the one grid of the picture.
        steps: of every scale (B, T), or bits (B, T, D); of token-wise pictures one line (B, T).
        codec: fingerprint of the tokenizer that gives them their meaning (see `ARModel.codec`).
        family: title of the model they were made by or for.
        features: (B, Z, H, W), the map the pictures are decoded from where the tokens alone do not say it.
    """

    kind: str
    grids: tuple[Grid, ...]
    steps: tuple[Tensor, ...]
    codec: str
    family: str
    features: Tensor | None = None

    @property
    def batch(self) -> int:
        """Pictures."""
        return len(self.steps[0])

    def check(self, model: ARModel, grids: Sequence[Grid] | None = None) -> None:
        """Raise ValueError when they are not tokens of this model, naming both.

        `grids`: of the run they are for, where the model has several sizes.
        """
        if self.codec != model.codec or self.kind != model.family.kind:
            raise ValueError(
                f"these tokens belong to another model: they were made for {self.family} with the image tokenizer"
                f" {self.codec}, and {model.name} ({model.family.title}) has {model.codec}. Connect the model they"
                " were made with, or send the picture through AR Image to Tokens with this one"
            )
        self._check_range(model)
        if grids is not None and tuple(grids) != self.grids:
            raise ValueError(
                f"these tokens are of another picture size: {describe_grids(self.grids)}, and this run of {model.name}"
                f" has {describe_grids(grids)}. Choose the same size, or send the picture through AR Image to Tokens"
            )

    def _check_range(self, model: ARModel) -> None:
        """Raise ValueError when a file held numbers that no tokenizer gave."""
        bits = self.steps[0].dim() == 3
        end = 2 if bits else getattr(model.tokenizer.config, "vocab", None)
        if any(bool((step < 0).any()) for step in self.steps) or (
            end is not None and any(bool((step >= end).any()) for step in self.steps)
        ):
            raise ValueError(
                f"these tokens are damaged: some are not between 0 and {end - 1 if end else 'the last code'}."
                " Load another file"
            )
        if self.features is not None:
            empty = model.tokenizer.empty_features(self.batch, self.grids, torch.device("meta"))
            if self.features.shape != empty.shape:
                raise ValueError(
                    f"these tokens are damaged: a feature map of {tuple(self.features.shape)} comes with them, and"
                    f" {model.name} has {tuple(empty.shape)}. Load another file"
                )

    def pick(self, rows: Sequence[int]) -> "PictureTokens":
        """The tokens of some of the pictures."""
        index = torch.tensor(rows, dtype=torch.long)
        features = None if self.features is None else self.features[index]
        return replace(self, steps=tuple(step[index] for step in self.steps), features=features)

    def __repr__(self) -> str:
        return f"AR tokens: {self.batch} pictures of {self.family}, {describe_grids(self.grids)}"


def describe_grids(grids: Sequence[Grid]) -> str:
    """ "7 scales up to 8x8", or "16x16"."""
    last = f"{grids[-1][0]}x{grids[-1][1]}"
    return last if len(grids) == 1 else f"{len(grids)} scales up to {last}"


def owned(
    model: ARModel, grids: Sequence[Grid], steps: Sequence[Tensor], features: Tensor | None = None
) -> PictureTokens:
    """Tokens just made by a model, on the CPU."""
    return PictureTokens(
        kind=model.family.kind,
        grids=tuple(grids),
        steps=tuple(step.cpu() for step in steps),
        codec=model.codec,
        family=model.family.title,
        features=None if features is None else features.cpu(),
    )


def features_of(tokens: PictureTokens, model: ARModel, device: torch.device) -> Tensor:
    """What the tokenizer decodes, (B, Z, H, W)."""
    if tokens.features is not None:
        return tokens.features.to(device)
    steps = [step.to(device) for step in tokens.steps]
    return LOOPS[tokens.kind].sum(model, steps, tokens.grids)


def tokens_of(model: ARModel, pictures: Tensor, grids: Sequence[Grid]) -> PictureTokens:
    """Pictures (B, 3, H, W) in [-1, 1], as large as the model's, through the tokenizer's encoder."""
    size = picture_size(model, grids)
    assert tuple(pictures.shape[-2:]) == size, (pictures.shape, size)
    steps, features = LOOPS[model.family.kind].encode(model, pictures, grids)
    return owned(model, grids, steps, features)


def join_tokens(parts: Sequence[PictureTokens]) -> PictureTokens:
    """Tokens of several batches of one model as one."""
    steps = zip(*(part.steps for part in parts), strict=True)
    maps = [part.features for part in parts if part.features is not None]
    return replace(
        parts[0],
        steps=tuple(torch.cat(step) for step in steps),
        features=torch.cat(maps) if len(maps) == len(parts) else None,
    )
