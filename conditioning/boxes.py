"""Boxes that other nodes drew or found in an image (ComfyUI's BOUNDING_BOX), as masks."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from .compose import Box

FARTHEST = 1e6  # pixels
SIDES = ("x", "y", "width", "height")
ADVICE = "connect a node that gives bounding boxes"
Found = list[list[Box]]  # the boxes of every image


def boxes_of(given: object) -> Found:
    """One box, a list of boxes of one image, or such a list for every image -> the boxes of every image.

    A box is a mapping with x and y of its upper left corner, width and height, in pixels; what else it holds is of no account.

    Raises:
        ValueError: something in it is no box.
    """
    if isinstance(given, Mapping):
        return [[_box(given)]]
    listed = _listed(given)
    if all(isinstance(one, Mapping) for one in listed):
        listed = [listed]
    return [[_box(one) for one in _listed(of_image)] for of_image in listed]


def _listed(given: object) -> Sequence[object]:
    if isinstance(given, Sequence) and not isinstance(given, (str, bytes)):
        return given
    raise ValueError(f"no boxes arrive: {ADVICE}")


def _box(given: object) -> Box:
    held: Mapping[object, object] = given if isinstance(given, Mapping) else {}
    x, y, width, height = (_number(held.get(side)) for side in SIDES)
    if not (width > 0 and height > 0 and math.isfinite(x + y + width + height)):
        raise ValueError(
            f"a box needs numbers of pixels for x, y, width and height, the last two above 0: {ADVICE}"
        )
    return Box(y, x, height, width)


def _number(given: object) -> float:
    """A number of pixels; not a number where it is none."""
    if isinstance(given, (int, float)) and abs(given) <= FARTHEST:
        return float(given)
    return math.nan


def box_masks(found: Found, size: tuple[int, int], number: int = 0) -> Tensor:
    """(images, height, width) in 0-1: 1 inside the boxes of each image; pixels that a box cuts have their share of it.

    Args:
        found: the boxes of every image.
        size: (height, width) of the images in pixels.
        number: which box of an image, counted from 1; 0 = all of them as one mask. An image without it gets a black mask.

    Raises:
        ValueError: no image has such a box, or every such box lies outside.
    """
    height, width = size
    most = max((len(boxes) for boxes in found), default=0)
    if most == 0:
        raise ValueError("there is no box: draw one, or let the node before it find more")
    if number > most:
        raise ValueError(f"box {number} is asked for, but there are {most}: lower 'box'")
    chosen = [boxes if number == 0 else boxes[number - 1 : number] for boxes in found]
    masks = torch.stack([_one_mask(boxes, height, width) for boxes in chosen])
    if not bool(masks.any()):
        raise ValueError(
            f"the boxes lie outside the image of {width}x{height} pixels: connect the image they were found in, or set width"
            " and height to the canvas they were drawn on"
        )
    return masks


def _one_mask(boxes: Sequence[Box], height: int, width: int) -> Tensor:
    """(height, width): the union of those boxes that touch the image."""
    made = torch.zeros(height, width)
    for box in boxes:
        if (
            box.left < width
            and box.top < height
            and box.left + box.width > 0 < box.top + box.height
        ):
            made = torch.maximum(made, box.mask(height, width)[0])
    return made
