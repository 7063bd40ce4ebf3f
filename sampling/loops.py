"""The generation loops as the nodes see them, one entry per kind of family."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..guidance.base import Grid
from ..guidance.record import Recorder
from . import discrete, scalewise, tokenwise
from .model import Model
from .progress import Progress

OnStep = Callable[[Any], None]


@dataclass(frozen=True)
class Generated:
    """What a loop made.

    Attributes:
        features: what the tokenizer decodes, (B, Z, H, W).
        steps: tokens of every scale, or of the whole line.
        whole: whether the tokens alone say all of `features`.
    """

    features: Tensor
    steps: Sequence[Tensor]
    whole: bool = True


@dataclass(frozen=True)
class Loop:
    """How one kind of family is run.

    Attributes:
        image_grid: config -> (h, w) of the image a token-wise run's tokens make up; None where every step is one.
        report_every: config -> steps between two reports of progress.
        run: (model, job, device, on_step, recorder) -> what was made.
        so_far: (model, progress) -> what the tokenizer decodes, for the first image as it stands.
        picture_grids: config -> the grids that say where an image's tokens lie.
        sum: (model, steps, grids) -> what the tokenizer decodes, from tokens.
        encode: (model, images in [-1, 1], grids) -> tokens of every step, and what the tokenizer decodes where they do
            not say it.
        features_so_far: progress -> the same for all images, or None where an image grows row by row.
    """

    image_grid: Callable[[Any], Grid | None]
    report_every: Callable[[Any], int]
    run: Callable[[Model, Any, torch.device, OnStep, Recorder], Generated]
    so_far: Callable[[Model, Any], Tensor]
    image_grids: Callable[[Any], tuple[Grid, ...]]
    sum: Callable[[Model, Sequence[Tensor], Sequence[Grid]], Tensor]
    encode: Callable[[Model, Tensor, Sequence[Grid]], tuple[Sequence[Tensor], Tensor | None]]
    features_so_far: Callable[[Any], Tensor] | None = None


def run_scales(
    model: Model, job: Any, device: torch.device, on_step: OnStep, recorder: Recorder
) -> Generated:
    """Run the scale-wise loop."""
    network, codec = model.network, model.tokenizer
    made = scalewise.generate(network, codec, job, device, on_step, recorder)
    more = job.smooth is not None or job.noise is not None
    blended = job.kept is not None and (
        job.kept.weights is not None or job.kept.features is not None
    )
    return Generated(made.features, made.tokens, whole=not (more or blended))


def run_tokens(
    model: Model, job: Any, device: torch.device, on_step: OnStep, recorder: Recorder
) -> Generated:
    """Run the token-wise loop and look the codes up."""
    tokens = tokenwise.generate(model.network, job, device, on_step, recorder).tokens
    return Generated(model.tokenizer.lookup(tokens, model.config.grid), [tokens])


def tokens_so_far(model: Model, progress: Progress) -> Tensor:
    """Codes of the first image, zero where nothing has been drawn yet."""
    tokens, missing = progress.tokens[:1], progress.count - progress.tokens.shape[1]
    codes = model.tokenizer.lookup(F.pad(tokens, (0, missing)), model.config.grid)
    drawn = torch.arange(progress.count, device=codes.device) < tokens.shape[1]
    return codes * drawn.view(codes.shape[2:])


def run_discrete(
    model: Model, job: Any, device: torch.device, on_step: OnStep, recorder: Recorder
) -> Generated:
    """Run the loop of discrete diffusion and look the codes up."""
    tokens = discrete.generate(model.network, job, device, on_step, recorder).tokens
    # A place that is still masked after the last step, which the posterior makes next to impossible, takes the first code.
    tokens = tokens.where(tokens < model.config.vocab, torch.zeros_like(tokens))
    return Generated(model.tokenizer.lookup(tokens, model.config.grid), [tokens])


def sum_scales(model: Model, steps: Sequence[Tensor], grids: Sequence[Grid]) -> Tensor:
    """The feature map that the tokens of all scales add up to."""
    codec = model.tokenizer
    features = codec.empty_features(len(steps[0]), grids, steps[0].device)
    for k, (tokens, grid) in enumerate(zip(steps, grids, strict=True)):
        features = features + codec.refine(codec.lookup(tokens, grid), k, grids)
    return features


def encode_scales(
    model: Model, images: Tensor, grids: Sequence[Grid]
) -> tuple[Sequence[Tensor], Tensor | None]:
    """Residual quantisation. A tokenizer of hybrid tokens (HART) keeps what quantisation leaves out as well."""
    features = model.tokenizer.encode_features(images)
    steps, _ = model.tokenizer.quantise(features, grids)
    return steps, features if model.family.residual else None


def picture_size(model: Model, grids: Sequence[Grid]) -> tuple[int, int]:
    """(height, width) in pixels of images whose finest grid is the last of `grids`."""
    factor = model.tokenizer.config.factor
    return grids[-1][0] * factor, grids[-1][1] * factor


LOOPS = {
    "scale": Loop(
        image_grid=lambda config: None,
        report_every=lambda config: 1,
        run=run_scales,
        so_far=lambda model, progress: progress.features[:1],
        features_so_far=lambda progress: progress.features,
        image_grids=lambda config: config.grids,
        sum=sum_scales,
        encode=encode_scales,
    ),
    "token": Loop(
        image_grid=lambda config: config.grid,
        report_every=lambda config: config.grid[1],
        run=run_tokens,
        so_far=tokens_so_far,
        image_grids=lambda config: (config.grid,),
        sum=lambda model, steps, grids: model.tokenizer.lookup(steps[0], grids[0]),
        encode=lambda model, images, grids: ([model.tokenizer.encode(images)], None),
    ),
    "discrete": Loop(
        image_grid=lambda config: None,
        report_every=lambda config: 1,
        run=run_discrete,
        so_far=lambda model, progress: model.tokenizer.lookup(
            progress.guess[:1], model.config.grid
        ),
        image_grids=lambda config: (config.grid,),
        sum=lambda model, steps, grids: model.tokenizer.lookup(steps[0], grids[0]),
        encode=lambda model, images, grids: ([model.tokenizer.encode(images)], None),
    ),
}


def grids_of(model: Model) -> tuple[Grid, ...]:
    """Where the tokens of a model's images lie."""
    return LOOPS[model.family.kind].image_grids(model.config)
