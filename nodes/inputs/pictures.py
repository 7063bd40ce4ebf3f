"""Pictures and masks of any size -> those of a model, and through its tokenizer and back."""

from collections.abc import Sequence

import comfy.model_management as mm
import comfy.utils
import torch
from torch import Tensor

from ...loaders.checkpoint import ARModel
from ...loaders.place import decode_bytes, decode_chunk, to_gpu
from ..running.loops import LOOPS, Grid, picture_size
from ..running.run import decode, to_image
from ..running.tokens import PictureTokens, features_of, join_tokens, tokens_of

CROP, STRETCH = "crop", "stretch"


def fit_image(image: Tensor, size: tuple[int, int], how: str = CROP) -> Tensor:
    """IMAGE (B, H, W, 3 or 4) -> (B, *size, 3), resized as ComfyUI's *Upscale Image* does, cropped to the middle or stretched."""
    colours = image[..., :3]
    if tuple(colours.shape[1:3]) == size:
        return colours
    return _resize(colours.movedim(-1, 1), size, how, "lanczos").movedim(1, -1).clamp(0, 1)


def fit_mask(
    mask: Tensor, picture: tuple[int, int], size: tuple[int, int], how: str = CROP
) -> Tensor:
    """MASK (M, h, w) or (h, w) of any size -> (M, *size), so that it lies on `fit_image` of the picture as it lay on the picture.

    `picture`: (H, W) of the picture it was drawn for; a mask of another size is stretched over it first, as stock nodes do.
    """
    mask = mask.reshape(-1, 1, *mask.shape[-2:]).float()
    if tuple(mask.shape[-2:]) != picture:
        mask = _resize(mask, picture, STRETCH, "bilinear")
    if picture != size:
        mask = _resize(mask, size, how, "bilinear")
    return mask[:, 0].clamp(0, 1)


def _resize(maps: Tensor, size: tuple[int, int], how: str, method: str) -> Tensor:
    crop = "center" if how == CROP else "disabled"
    return comfy.utils.common_upscale(maps, size[1], size[0], method, crop)


def encode_images(model: ARModel, image: Tensor, grids: Sequence[Grid]) -> PictureTokens:
    """IMAGE (B, H, W, 3), as large as the model's pictures, through its tokenizer's encoder."""
    to_gpu([model.tokenizer_patcher], decode_bytes(model.tokenizer, model.config))
    device, parts = model.patcher.load_device, []
    for part in image.split(decode_chunk(model.tokenizer, model.config)):
        mm.throw_exception_if_processing_interrupted()
        pictures = part.movedim(-1, 1).to(device, torch.float32) * 2 - 1
        parts.append(tokens_of(model, pictures, grids))
    return join_tokens(parts)


def decode_tokens(model: ARModel, tokens: PictureTokens) -> Tensor:
    """IMAGE (B, H, W, 3) of tokens.

    Raises:
        ValueError: they are not this model's.
    """
    tokens.check(model)
    to_gpu([model.tokenizer_patcher], decode_bytes(model.tokenizer, model.config))
    return to_image(decode(model, features_of(tokens, model, model.patcher.load_device)))


def nearest_grids(model: ARModel, image: Tensor) -> tuple[Grid, ...]:
    """The grids that the model's pictures have."""
    return LOOPS[model.family.kind].picture_grids(model.config)


__all__ = [
    "CROP",
    "STRETCH",
    "decode_tokens",
    "encode_images",
    "fit_image",
    "fit_mask",
    "nearest_grids",
    "picture_size",
]
