"""What a text-conditional network is given of a prompt."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from .prompt import Prompt


@dataclass(frozen=True)
class TextCondition:
    """One branch's text.

    Attributes:
        features: (B, n, E) states of the text encoder, row by row of the prompt.
        live: (B, n) which rows belong to the prompt, not to its padding; None = as many as the image's own prompt
            has (a learned "no prompt" that adapts to it).
        pooled: (B, P) one vector per prompt, where the family takes one.
    """

    features: Tensor
    live: Tensor | None
    pooled: Tensor | None = None

    def row(self, index: int) -> "TextCondition":
        """One prompt of the batch."""
        parts = (self.features, self.live, self.pooled)
        return TextCondition(*(None if part is None else part[index : index + 1] for part in parts))  # pyright: ignore[reportArgumentType]

    def fitted(self, prompts: "Sequence[TextCondition]") -> "TextCondition":
        """A "no prompt" that is as long as the image's own, for several prompts: as long as the longest of them."""
        masks = [prompt.live for prompt in prompts if prompt.live is not None]
        if self.live is not None or not masks:
            return self
        length = max(mask.shape[1] for mask in masks)
        live = torch.stack([F.pad(mask.bool(), (0, length - mask.shape[1])) for mask in masks])
        return replace(self, features=self.features[:, :length], live=live.any(0))


@dataclass(frozen=True)
class Caption:
    """Text features (B, P, caption width), padded on the left, and their mask (B, P), 1 = text.

    Both None: the empty caption the network was trained with, which takes the mask of the first branch.
    """

    features: Tensor | None = None
    mask: Tensor | None = None

    def fitted(self, prompts: "Sequence[Caption]") -> "Caption":
        """The empty caption for several prompts of an image: as long as the longest of them."""
        masks = [prompt.mask for prompt in prompts if prompt.mask is not None]
        if self.mask is not None or not masks:
            return self
        return replace(self, mask=torch.stack(masks).amax(0))


def left_pad(features: Tensor, mask: Tensor) -> Caption:
    """Text features (B, P, C) padded on the right, as encoders give them -> padded on the left, padding zeroed."""
    order = mask.argsort(dim=1, stable=True)  # padding (0) first, text in its own order
    moved = features.gather(1, order[..., None].expand_as(features))
    mask = mask.gather(1, order)
    return Caption(moved * mask[..., None].to(moved.dtype), mask)


NetworkCondition: TypeAlias = Tensor | TextCondition | Prompt | Caption
"""A branch's condition, as one family or another takes it: class labels (B,) or text vectors (B, E), encoded text, token ids."""


def with_tokens(config: object, text: TextCondition) -> TextCondition:
    """The text as it is, if every prompt has a token at all.

    Raises:
        ValueError: a prompt has none, so that there is nothing to attend to.
    """
    if text.live is not None and not text.live.any(1).all():
        raise ValueError("a prompt has no token that counts as text: all of it is padding")
    return text


def stack_texts(prompts: Sequence[TextCondition]) -> TextCondition:
    """Prompts of one encoder in one batch, padded on the right to the longest.

    Every prompt's `live` is given; pooled vectors are those of all or of none.
    """
    length = max(prompt.features.shape[1] for prompt in prompts)
    live = [prompt.live for prompt in prompts if prompt.live is not None]
    pooled = [prompt.pooled for prompt in prompts if prompt.pooled is not None]
    return TextCondition(
        torch.cat([_pad(prompt.features, length) for prompt in prompts]),
        torch.cat([_pad(mask[..., None], length)[..., 0] for mask in live]),
        torch.cat(pooled) if pooled else None,
    )


def stack_branches(branches: Sequence[TextCondition], device: torch.device) -> TextCondition:
    """Every branch's rows in one batch, padded to the longest: features (rows, n, E), fp32."""
    length = max(branch.features.shape[1] for branch in branches)
    features, live, pooled = [], [], []
    for branch in branches:
        mask = branches[0].live if branch.live is None else branch.live
        assert mask is not None, "the first branch is a real prompt"
        text = branch.features[:, : mask.shape[1]] if branch.live is None else branch.features
        features.append(_pad(text.to(device).float(), length))
        live.append(_pad(mask.to(device).bool()[..., None], length)[..., 0])
        if branch.pooled is not None:
            pooled.append(branch.pooled.to(device).float())
    return TextCondition(
        torch.cat(features), torch.cat(live), torch.cat(pooled) if pooled else None
    )


def _pad(x: Tensor, length: int) -> Tensor:
    return F.pad(x, (0, 0, 0, length - x.shape[1]))
