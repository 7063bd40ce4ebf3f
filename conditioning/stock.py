"""What ComfyUI's own nodes say about where and when a prompt holds: Conditioning (Set Mask), (Set Area), (Set Area Strength)
and (Set Timestep Range) on a stock CONDITIONING, as regions of one image.

A prompt without any of them is the background; several are blended, all alike. Where there is none, all prompts share what
none of them covers. The strengths of a prompt multiply. A CONDITIONING of which no entry carries a region is a batch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, SupportsFloat, cast

import torch
from torch import Tensor

from ..sampling.regions import Region
from .base import Condition
from .compose import Against, Box, Composition, Part, blend, checked_mask
from .text import Prompts, StockConditioning, StockOptions, TextConditioning, read_conditioning

LATENT = 8  # pixels of a step of Conditioning (Set Area)
WORDS = ("mask", "mask_strength", "area", "strength", "start_percent", "end_percent")


@dataclass(frozen=True, eq=False)
class Placed:
    """A prompt of one image."""

    prompts: Prompts
    region: Region
    box: Box | None

    @property
    def everywhere(self) -> bool:
        """Whether it holds for the whole image and the whole run."""
        region = self.region
        whole = region.mask is None and self.box is None and region.weight == 1
        return whole and region.start <= 0 and region.end >= 1


def text_condition(positive: StockConditioning, negative: StockConditioning | None) -> Condition:
    """What two stock CONDITIONINGs ask for.

    Raises:
        ValueError: one is empty, or asks for what cannot be done.
    """
    wanted = _read(positive, "positive")
    against = [] if negative is None else _read(negative, "negative")
    if all(placed.everywhere for placed in wanted + against):
        return TextConditioning(_prompts(wanted), _prompts(against))
    if all(placed.everywhere for placed in against):
        if len(against) > 1 and not _is_batch(wanted):
            raise ValueError(
                f"negative: there are {len(against)} prompts for one composed image: give one, or give each a mask or an"
                " area of its own"
            )
        return _composed(wanted, _prompts(against))
    plain = _prompts(against[:1])  # says that there is one
    own = _composed(against, _prompts(against[:1]))
    return Against(
        TextConditioning(_prompts(wanted), plain)
        if _is_batch(wanted)
        else _composed(wanted, plain),
        own,
    )


def _is_batch(entries: Sequence[Placed]) -> bool:
    return all(placed.everywhere for placed in entries)


def _prompts(entries: Sequence[Placed]) -> tuple[Prompts, ...]:
    return tuple(placed.prompts for placed in entries)


def _composed(entries: Sequence[Placed], negative: tuple[Prompts, ...]) -> Condition:
    """One image of all entries."""
    conditions = [TextConditioning((placed.prompts,), negative) for placed in entries]
    plain = [c for c, placed in zip(conditions, entries, strict=True) if placed.everywhere]
    parts = [
        Part(condition, placed.region, placed.box)
        for condition, placed in zip(conditions, entries, strict=True)
        if not placed.everywhere
    ]
    return Composition(_blended(plain or conditions), tuple(parts))


def _blended(conditions: Sequence[Condition]) -> Condition:
    """All of them everywhere, all alike."""
    numbered = list(enumerate(conditions))[1:]
    return reduce(
        lambda made, one: blend(made, one[1], Region(weight=1 / (one[0] + 1))),
        numbered,
        conditions[0],
    )


def _read(conditioning: StockConditioning, which: str) -> list[Placed]:
    """Every entry with its region."""
    bare = [
        (features, {key: value for key, value in options.items() if key not in WORDS})
        for features, options in conditioning
    ]
    prompts = read_conditioning(bare, which)
    try:
        return [
            Placed(read, _region(options), _box(options.get("area")))
            for read, (_, options) in zip(prompts, conditioning, strict=True)
        ]
    except ValueError as error:
        raise ValueError(f"{which}: {error}") from error


def _region(options: StockOptions) -> Region:
    """When and how strongly a prompt holds, and its mask."""
    mask = options.get("mask")
    weight = _number(options.get("strength"), 1.0)
    if mask is not None:
        weight *= _number(options.get("mask_strength"), 1.0)
        mask = _mask(mask)
    start = min(max(_number(options.get("start_percent"), 0.0), 0.0), 1.0)
    end = min(max(_number(options.get("end_percent"), 1.0), 0.0), 1.0)
    return Region(mask, weight, start, end)


def _mask(mask: Tensor) -> Tensor:
    if not isinstance(mask, Tensor) or mask.ndim not in (2, 3) or not bool(mask.isfinite().all()):
        raise ValueError(
            "the mask of a prompt is not a mask (M, height, width) of finite numbers: use Conditioning (Set Mask)"
        )
    return checked_mask(mask.reshape(-1, *mask.shape[-2:]).to("cpu", torch.float32))


def _number(value: object, default: float) -> float:
    """A strength or a share, as another node has set it."""
    if value is None:
        return default
    number = float(cast(SupportsFloat, value))
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"a prompt carries the strength or time {number:g}: use 0 or more")
    return number


def _box(area: Sequence[Any] | None) -> Box | None:
    """The rectangle of Conditioning (Set Area), or of (Set Area with Percentage)."""
    if area is None:
        return None
    shares = area[0] == "percentage"
    sides = [float(side) for side in area[1 if shares else 0 :]]
    if len(sides) != 4:
        raise ValueError(
            "an area of a prompt is for videos, which autoregressive models do not make: use Conditioning (Set Area)"
        )
    height, width, top, left = sides if shares else [side * LATENT for side in sides]
    return Box(top, left, height, width, shares)
