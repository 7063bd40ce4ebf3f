"""Images and masks of any size -> those of a model, and through its tokenizer and back."""

from collections.abc import Sequence

import comfy.model_management as mm
import comfy.utils
import torch
import torch.nn.functional as F
from torch import Tensor

from ...imaging.tokens import ImageTokens, features_of, join_tokens, tokens_of
from ...loaders.checkpoint import ARModel
from ...loaders.estimate import decode_bytes, decode_chunk
from ...loaders.place import to_gpu
from ...sampling.loops import Grid
from ..execution.decoding import as_image, decode

CROP, STRETCH = "crop", "stretch"


def fit_image(image: Tensor, size: tuple[int, int], how: str = CROP) -> Tensor:
    """IMAGE (B, H, W, 3 or 4) -> (B, *size, 3), resized as ComfyUI's *Upscale Image* does, cropped to the middle or stretched."""
    colours = image[..., :3]
    if tuple(colours.shape[1:3]) == size:
        return colours
    return _resize(colours.movedim(-1, 1), size, how, "lanczos").movedim(1, -1).clamp(0, 1)


def fit_mask(
    mask: Tensor, image: tuple[int, int], size: tuple[int, int], how: str = CROP
) -> Tensor:
    """MASK (M, h, w) or (h, w) of any size -> (M, *size), so that it lies on `fit_image` of the image as it lay on the image.

    `picture`: (H, W) of the image it was drawn for; a mask of another size is stretched over it first, as stock nodes do.
    A smaller mask marks every pixel of which any part was marked: no dot is lost.
    """
    mask = mask.reshape(-1, 1, *mask.shape[-2:]).float()
    mask = _resize_mask(mask, image)
    if how == CROP:
        mask = middle(mask, size)
    return _resize_mask(mask, size)[:, 0].clamp(0, 1)


def _resize_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks (M, 1, h, w) stretched to a size: the highest value where they shrink, bilinear where they grow."""
    smaller = tuple(min(old, new) for old, new in zip(mask.shape[-2:], size, strict=True))
    if smaller != tuple(mask.shape[-2:]):
        mask = F.adaptive_max_pool2d(mask, smaller)
    return mask if smaller == size else _resize(mask, size, STRETCH, "bilinear")


def middle(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Of maps (M, C, H, W), what ComfyUI's centre crop leaves before it resizes them to the shape of `size`."""
    height, width = maps.shape[-2:]
    shape, wanted = width / height, size[1] / size[0]
    x = round((width - width * (wanted / shape)) / 2) if shape > wanted else 0
    y = round((height - height * (shape / wanted)) / 2) if shape < wanted else 0
    return maps[..., y : height - y, x : width - x]


def _resize(maps: Tensor, size: tuple[int, int], how: str, method: str) -> Tensor:
    crop = "center" if how == CROP else "disabled"
    return comfy.utils.common_upscale(maps, size[1], size[0], method, crop)


def encode_images(model: ARModel, image: Tensor, grids: Sequence[Grid]) -> ImageTokens:
    """IMAGE (B, H, W, 3), as large as the model's images, through its tokenizer's encoder."""
    to_gpu([model.tokenizer_patcher], decode_bytes(model.tokenizer, model.config))
    device, parts = model.patcher.load_device, []
    for part in image.split(decode_chunk(model.tokenizer, model.config)):
        mm.throw_exception_if_processing_interrupted()
        images = part.movedim(-1, 1).to(device, torch.float32) * 2 - 1
        parts.append(tokens_of(model, images, grids))
    return join_tokens(parts)


def decode_tokens(model: ARModel, tokens: ImageTokens) -> Tensor:
    """IMAGE (B, H, W, 3) of tokens.

    Raises:
        ValueError: they are not this model's.
    """
    tokens.check(model)
    to_gpu([model.tokenizer_patcher], decode_bytes(model.tokenizer, model.config))
    return as_image(decode(model, features_of(tokens, model, model.patcher.load_device)))
