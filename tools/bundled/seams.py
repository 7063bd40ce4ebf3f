"""How much of a seam in- and out-painting leave: gradient energy across a mask's edge, against that of unedited images there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.schedule import Schedule
from ar_guidance.sampling.draw import Filters, Streams, StreamSampler
from ar_guidance.sampling.edit import KeptTokens, inpainting
from ar_guidance.sampling.pixels import compose, filled
from ar_guidance.sampling.scalewise import (
    ScalewiseJob,
    ScalewiseResult,
    generate,
)
from torch import Tensor

SIDE = 64
CPU = torch.device("cpu")


@dataclass(frozen=True)
class How:
    """How to paint in: the controls of AR Inpaint."""

    softness: int = 8
    blend: bool = True
    keep_outside: bool = True


def masks() -> dict[str, Tensor]:
    """Name -> mask (1, 64, 64): on the token grid, off it, round, and half of the image."""
    rows = torch.arange(SIDE)[:, None].expand(SIDE, SIDE)
    columns = rows.T
    shapes = {
        "square": (rows >= 16) & (rows < 48) & (columns >= 16) & (columns < 48),
        "off the grid": (rows >= 13) & (rows < 43) & (columns >= 21) & (columns < 59),
        "disc": (rows - 31.5).square() + (columns - 31.5).square() < 20**2,
        "right half": columns >= 32,
    }
    return {name: shape.float()[None] for name, shape in shapes.items()}


def frames() -> dict[str, Tensor]:
    """Name -> mask (1, 64, 64) of what is drawn around an image: its defaults, a narrow frame, and one side."""
    places = {
        "1/4 on every side": (slice(16, 48), slice(16, 48)),
        "1/8 on every side": (slice(8, 56), slice(8, 56)),
        "left half": (slice(0, 64), slice(32, 64)),
    }
    found = {}
    for name, place in places.items():
        found[name] = torch.ones(1, SIDE, SIDE)
        found[name][0][place] = 0
    return found


def run(
    pair: tuple[Any, Any], labels: Tensor, seed: int, kept: KeptTokens | None = None
) -> ScalewiseResult:
    """A run of the bundled model at its published settings."""
    codec, network = pair
    grids, count = network.config.grids, len(labels)
    job = ScalewiseJob(
        conditions=(labels, network.null_condition(count)),
        batch=count,
        run=RunInfo("scale", grids, published=Schedule("linear ramp")),
        chain=Chain((CFG(4.0),)),
        draw=StreamSampler(Filters(top_p=0.9), Streams(seed, count)),
        kept=kept,
    )
    with torch.inference_mode():
        return generate(network, codec, job, CPU)


def pictures(pair: tuple[Any, Any], features: Tensor) -> Tensor:
    """Feature maps -> (B, H, W, 3) in 0-1."""
    with torch.inference_mode():
        return pair[0].decode(features).movedim(1, -1) * 0.5 + 0.5


@dataclass(frozen=True)
class Sources:
    """Pictures to paint in: `count` of random classes, and a further class for each to paint with."""

    labels: Tensor
    others: Tensor
    made: ScalewiseResult
    pixels: Tensor

    @classmethod
    def draw(cls, pair: tuple[Any, Any], count: int, seed: int) -> Sources:
        """Random sources; everything follows from the seed."""
        generator = torch.Generator().manual_seed(seed)
        classes = pair[1].config.classes
        labels, others = torch.randint(classes, (2, count), generator=generator)
        made = run(pair, labels, seed)
        return cls(labels, others, made, pictures(pair, made.features))


def painted(
    pair: tuple[Any, Any], sources: Sources, mask: Tensor, how: How, same: bool, seed: int
) -> tuple[Tensor, ScalewiseResult]:
    """The sources with the mask drawn again, as their own class or as another: images (B, H, W, 3), and the run."""
    kept = inpainting(sources.made.tokens, mask, pair[1].config.grids, how.softness, how.blend)
    result = run(pair, sources.labels if same else sources.others, seed, kept)
    new = pictures(pair, result.features)
    if how.keep_outside:
        new = compose(new, sources.pixels, mask, how.softness)
    return new, result


def extended(
    pair: tuple[Any, Any], sources: Sources, mask: Tensor, how: How, same: bool, seed: int
) -> tuple[Tensor, Tensor]:
    """What AR Outpaint makes of the part of the sources that a frame (1, H, W) leaves: images, and what it started from."""
    codec, network = pair
    shown = filled(sources.pixels.movedim(-1, 1), mask)
    grids = network.config.grids
    with torch.inference_mode():
        tokens, _ = codec.quantise(codec.encode_features(shown * 2 - 1), grids)
    start = shown.movedim(1, -1)
    kept = inpainting(tokens, mask, grids, how.softness, how.blend)
    result = run(pair, sources.labels if same else sources.others, seed, kept)
    new = pictures(pair, result.features)
    return compose(new, start, mask, how.softness) if how.keep_outside else new, start


def edge_energy(images: Tensor, mask: Tensor) -> Tensor:
    """Mean squared difference of neighbouring pixels of which one lies in the mask (1, H, W) and one does not, (B,)."""
    total, pairs = torch.zeros(len(images)), 0
    for axis in (0, 1):
        crossing = mask[0].diff(dim=axis) != 0
        steps = images.diff(dim=axis + 1).square().mean(-1)  # (B, H - 1, W) or (B, H, W - 1)
        total, pairs = total + (steps * crossing).sum((1, 2)), pairs + int(crossing.sum())
    return total / pairs


def seam(edited: Tensor, unedited: Tensor, mask: Tensor) -> float:
    """Gradient energy across the mask's edge in edited images, as a multiple of that in unedited ones."""
    return float(edge_energy(edited, mask).mean() / edge_energy(unedited, mask).mean())
