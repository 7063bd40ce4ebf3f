"""What arrives at a node, checked by the type its schema states: one function for each type, for every node.

The host holds widgets to their limits and links to nothing: a connected node may send any number, text, list, image or mask.
Each check returns the value as the node takes it, or raises ValueError that says what arrived and what is taken; the caller
puts the names of node and input before it.
"""

import math
import operator
from collections.abc import Callable
from typing import SupportsFloat, SupportsIndex, cast

import torch
from torch import Tensor

from ...loaders.quote import quoted

LONGEST_TEXT = 1 << 20  # letters of a text input
FARTHEST = (
    1.0  # how far pixels may lie outside 0-1 (resizing overshoots) before it is no image any more
)
REMEDY = "change what is connected to it"
Limits = tuple[float | None, float | None]


def whole(value: object, limits: Limits) -> int:
    """A whole number within limits; 4.0 counts as one, 2.5 does not."""
    given = int(value) if isinstance(value, float) and value.is_integer() else value
    try:
        number = operator.index(cast(SupportsIndex, given))
    except TypeError:
        if isinstance(value, (float, Tensor)):
            raise ValueError(f"is {quoted(value)}, but takes whole numbers: {REMEDY}") from None
        raise ValueError(f"needs a whole number, but receives {named(value)}: {REMEDY}") from None
    _within(number, limits)
    return number


def decimal(value: object, limits: Limits) -> float:
    """A finite number within limits."""
    if isinstance(value, (str, bytes)) or not hasattr(value, "__float__"):
        raise ValueError(f"needs a number, but receives {named(value)}: {REMEDY}")
    try:
        number = float(cast(SupportsFloat, value))
    except OverflowError:
        number = math.inf
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"needs one number, but receives {named(value)}: {REMEDY}") from None
    if not math.isfinite(number):
        raise ValueError(f"is {number}, but takes finite numbers: {REMEDY}")
    _within(number, limits)
    return number


def _within(number: float, limits: Limits) -> None:
    low, high = limits
    below, above = low is not None and number < low, high is not None and number > high
    if below or above:
        size = _size(number)
        ends = (
            f"from {_size(low)} to {_size(high)}" if high is not None else f"from {_size(low)} on"
        )
        raise ValueError(f"is {size}, but goes {ends}: change the number that is connected to it")


def _size(number: float | None) -> str:
    """A number as text; thousands of digits have none."""
    if isinstance(number, int) and number.bit_length() > 64:
        return f"a number of about {int(number.bit_length() * math.log10(2)) + 1:,} digits"
    return f"{number}" if isinstance(number, int) else f"{number:g}"


def text(value: object) -> str:
    """A text that can be written to a file."""
    if not isinstance(value, str):
        raise ValueError(f"needs text, but receives {named(value)}: {REMEDY}")
    if len(value) > LONGEST_TEXT:
        raise ValueError(
            f"is a text of {len(value):,} letters, and at most {LONGEST_TEXT:,} are read: shorten it"
        )
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"holds half a character ({quoted(value)}): {REMEDY}") from None
    return value


def switch(value: object) -> bool:
    """Yes or no; 0 and 1 count."""
    if isinstance(value, (bool, int)) and value in (0, 1):
        return bool(value)
    raise ValueError(f"needs yes or no, but receives {named(value)}: {REMEDY}")


def choice(value: object, options: list[str] | None) -> str:
    """An entry of a list; `options`: None where the node reads the text itself."""
    chosen = text(value)
    if options is not None and chosen not in options:
        near = ", ".join(quoted(option, 40) for option in options[:12])
        raise ValueError(f"is '{quoted(chosen)}', which is none of its choices: {near}")
    return chosen


def image(value: object) -> Tensor:
    """Images (B, H, W, 3), fp32, 0-1, whatever form they arrive in.

    Taken: one image without a batch (H, W, C), a grey (H, W), a dimension of size 1 too many, 1 channel (grey), 2 (grey and
    alpha) and 4 (colour and alpha, which is dropped); values a little outside 0-1, as resizing leaves them, are cut off.
    """
    images = _numbers(value, "an image")
    while images.dim() > 4 and 1 in images.shape[:-3]:
        images = images.squeeze(images.shape.index(1))
    if images.dim() == 2:
        images = images[..., None]
    if images.dim() == 3:
        images = images[None]
    if images.dim() != 4 or images.shape[-1] not in (1, 2, 3, 4):
        raise ValueError(
            f"is not an image: it has the shape {_shape(value)}, and images are (images, height, width, 1 to 4 channels):"
            f" {REMEDY}"
        )
    images = _in_range(_filled(images, value, "image"), "image")
    return images[..., :3] if images.shape[-1] > 2 else images[..., :1].expand(-1, -1, -1, 3)


def mask(value: object) -> Tensor:
    """Masks (M, H, W), fp32, 0-1, whatever form they arrive in: also without a batch, and with a dimension of size 1 too many."""
    masks = _numbers(value, "a mask")
    if masks.dim() == 4 and masks.shape[-1] == 1:
        masks = masks[..., 0]
    while masks.dim() > 3 and 1 in masks.shape[:-2]:
        masks = masks.squeeze(masks.shape[:-2].index(1))
    if masks.dim() == 2:
        masks = masks[None]
    if masks.dim() != 3:
        hint = (
            ". An image becomes a mask with Convert Image to Mask"
            if masks.shape[-1:] in ((3,), (4,))
            else ""
        )
        raise ValueError(
            f"is not a mask: it has the shape {_shape(value)}, and masks are (masks, height, width){hint}"
        )
    return _in_range(_filled(masks, value, "mask"), "mask")


def _numbers(value: object, what: str) -> Tensor:
    if not isinstance(value, Tensor):
        raise ValueError(f"needs {what}, but receives {named(value)}: {REMEDY}")
    if value.is_complex():
        raise ValueError(f"needs {what}, but receives complex numbers: {REMEDY}")
    return value.detach().float()


def _filled(maps: Tensor, value: object, what: str) -> Tensor:
    if not maps.numel():
        raise ValueError(
            f"is an empty {what}: it has the shape {_shape(value)}. Look at what the node before gives"
        )
    return maps


def _in_range(maps: Tensor, what: str) -> Tensor:
    low, high = (float(end) for end in maps.aminmax())  # NaN where there is one
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(
            f"holds values that are not numbers (NaN or infinite), so it is no {what}: the node before it has failed"
        )
    if low < -FARTHEST or high > 1 + FARTHEST:
        raise ValueError(
            f"holds values from {low:g} to {high:g}, and a{'n' if what == 'image' else ''} {what} goes from 0 to 1:"
            " bring it into that range"
        )
    return maps if low >= 0 and high <= 1 else maps.clamp(0, 1)


def conditioning(value: object) -> object:
    """A stock CONDITIONING: a list of pairs of features (B, n, E) and a dictionary."""
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"needs a CONDITIONING, but receives {named(value)}: {REMEDY}")
    for entry in value:
        pair = isinstance(entry, (list, tuple)) and len(entry) == 2
        if not (pair and isinstance(entry[0], Tensor) and isinstance(entry[1], dict)):
            raise ValueError(
                "is not a CONDITIONING made by a text encoder: connect a CLIP Text Encode node"
            )
        features = entry[0]
        if features.dim() != 3 or not features.numel() or not features.is_floating_point():
            raise ValueError(
                f"holds features of the shape {_shape(features)}, and those of prompts are (prompts, rows, channels)"
            )
        if not bool(torch.isfinite(features).all()):
            raise ValueError(
                "holds features that are not numbers (NaN or infinite). Look for an infinite weight in the prompt, such as"
                " (word:inf); if there is none, the text encoder's file is damaged"
            )
    return value


def _shape(value: object) -> str:
    return quoted(tuple(getattr(value, "shape", ())))


def named(value: object) -> str:
    """What a value is, in words."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return f"the text '{quoted(value, 40)}'"
    if isinstance(value, Tensor):
        return f"a tensor of the shape {_shape(value)}"
    kind = type(value).__name__
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {quoted(kind, 40)}"


LIMITED: dict[str, Callable[[object, Limits], object]] = {"INT": whole, "FLOAT": decimal}
PLAIN: dict[str, Callable[[object], object]] = {
    "STRING": text,
    "BOOLEAN": switch,
    "IMAGE": image,
    "MASK": mask,
    "CONDITIONING": conditioning,
}
