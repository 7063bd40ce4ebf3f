"""From feature maps to images: a few at a time, in tiles where memory is short."""

import logging
import time

import comfy.model_management as mm
import torch
from torch import Tensor

from ...imaging.preview_budget import remember
from ...loaders.checkpoint import ARModel
from ...loaders.estimate import decode_chunk
from ...models.parts.sizes import Codec
from ...models.tokenizers.tiles import SIDE
from .retry import out_of_memory


def decode(model: ARModel, features: Tensor) -> Tensor:
    """Feature maps -> images (B, 3, H, W) in [-1, 1] on the CPU, a few at a time."""
    images, started = [], time.monotonic()
    # Convolutions round by the order in memory, which differs by how a run made them.
    for part in features.contiguous().split(decode_chunk(model.tokenizer, model.config)):
        mm.throw_exception_if_processing_interrupted()
        images.append(decode_part(model.tokenizer, part).to(mm.intermediate_device()))
    made = torch.cat(images)
    if not bool(made.isfinite().all()):
        raise ValueError(
            "the decoded images are not finite numbers, so there is nothing to show: the image tokenizer's file may be"
            " damaged, or half precision too narrow for it"
        )
    remember(model.tokenizer, time.monotonic() - started, made[:, 0].numel())
    return made


def decode_part(tokenizer: Codec, features: Tensor) -> Tensor:
    """Images that are decoded at once; where they do not fit into memory, one by one and in tiles."""
    try:
        return tokenizer.decode(features)
    except Exception as error:
        if not out_of_memory(error):
            raise
    mm.soft_empty_cache()
    logging.warning(
        "[AR Guidance] decoding %d images at once does not fit into memory: one by one and in tiles,"
        " which takes longer and gives the same images",
        len(features),
    )
    return torch.cat([tokenizer.decode(one, tile=SIDE) for one in features.split(1)])


def as_image(images: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1] -> ComfyUI's IMAGE (B, H, W, 3) in 0-1."""
    return (images.movedim(1, -1) * 0.5 + 0.5).clamp(0, 1).float().contiguous()
