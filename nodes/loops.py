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

OnStep = Callable[[Any], None]


@dataclass(frozen=True)
class Loop:
    """How one kind of family is run.

    Attributes:
        report_every: config -> steps between two reports of progress.
        features: (model, job, device, on_step, recorder) -> what the tokenizer decodes, (B, Z, H, W).
        so_far: (model, progress) -> the same for the first picture as it stands.
        features_so_far: progress -> the same for all pictures, or None where a picture grows row by row.
    """

    report_every: Callable[[Any], int]
    features: Callable[[ARModel, Any, torch.device, OnStep, Recorder], Tensor]
    so_far: Callable[[ARModel, Any], Tensor]
    features_so_far: Callable[[Any], Tensor] | None = None


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
        report_every=lambda config: 1,
        features=scale_features,
        so_far=lambda model, progress: progress.features[:1],
        features_so_far=lambda progress: progress.features,
    ),
    "token": Loop(
        report_every=lambda config: config.grid[1],
        features=token_features,
        so_far=tokens_so_far,
    ),
}
