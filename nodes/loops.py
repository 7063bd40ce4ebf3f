"""The generation loops as the nodes see them, one entry per kind of family."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..guidance.record import Recorder
from ..loaders.checkpoint import ARModel
from ..sampling import scalewise, tokenwise

Grid = tuple[int, int]
OnStep = Callable[[Any], None]


@dataclass(frozen=True)
class Loop:
    """How one kind of family is run.

    Attributes:
        job: what describes a run.
        grids: config -> (h, w) of every step.
        picture: config -> (h, w) of the picture a token-wise run's tokens make up; None where every step is one.
        report_every: config -> steps between two reports of progress.
        features: (model, job, device, on_step, recorder) -> what the tokenizer decodes, (B, Z, H, W).
        so_far: (model, progress) -> the same for the first picture as it stands.
    """

    job: type
    grids: Callable[[Any], tuple[Grid, ...]]
    picture: Callable[[Any], Grid | None]
    report_every: Callable[[Any], int]
    features: Callable[[ARModel, Any, torch.device, OnStep, Recorder], Tensor]
    so_far: Callable[[ARModel, Any], Tensor]


def scale_features(
    model: ARModel, job: Any, device: torch.device, on_step: OnStep, recorder: Recorder
) -> Tensor:
    """Run the scale-wise loop."""
    network, codec = model.network, model.tokenizer
    return scalewise.generate(network, codec, job, device, on_step, recorder).features


def token_features(
    model: ARModel, job: Any, device: torch.device, on_step: OnStep, recorder: Recorder
) -> Tensor:
    """Run the token-wise loop and look the codes up."""
    tokens = tokenwise.generate(model.network, job, device, on_step, recorder).tokens
    return model.tokenizer.lookup(tokens, model.config.grid)


def tokens_so_far(model: ARModel, progress: tokenwise.Progress) -> Tensor:
    """Codes of the first picture, zero where nothing has been drawn yet."""
    tokens, missing = progress.tokens[:1], progress.count - progress.tokens.shape[1]
    codes = model.tokenizer.lookup(F.pad(tokens, (0, missing)), model.config.grid)
    drawn = torch.arange(progress.count, device=codes.device) < tokens.shape[1]
    return codes * drawn.view(codes.shape[2:])


LOOPS = {
    "scale": Loop(
        job=scalewise.ScalewiseRun,
        grids=lambda config: config.grids,
        picture=lambda config: None,
        report_every=lambda config: 1,
        features=scale_features,
        so_far=lambda model, progress: progress.features[:1],
    ),
    "token": Loop(
        job=tokenwise.TokenwiseRun,
        grids=lambda config: ((1, 1),) * config.length,
        picture=lambda config: config.grid,
        report_every=lambda config: config.grid[1],
        features=token_features,
        so_far=tokens_so_far,
    ),
}
