"""The bundled models' own judge: a small classifier trained on the same drawings. Works offline."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from ...bundled.classifier import Classifier, judge, load_classifier
from ...bundled.metrics import Gaussian
from ...pack import ROOT
from ..conditions import REFERENCE, Asked
from ..estimates import Measured, frechet_of, mean_of
from ..samples import Samples
from . import Setup, known_options

CLASSIFIER = ROOT / "tests" / "bundled" / "classifier.safetensors"


@dataclass(frozen=True)
class BundledJudge:
    """Features (B, 128), and whether the group that was asked for is the one it sees."""

    network: Classifier

    def look(self, images: Tensor, asked: Asked) -> dict[str, np.ndarray]:
        features, group, _ = judge(self.network, images)
        found = {"features": features.cpu().numpy()}
        if asked.targets is not None:
            found["right"] = (group.argmax(1).cpu() == asked.targets).float().numpy()
        return found


def check(name: str, options: Mapping[str, Any], weights: Path) -> None:
    """It has no options."""
    known_options(name, options, set())


def open_judge(
    name: str, options: Mapping[str, Any], weights: Path, device: torch.device
) -> BundledJudge:
    """The stored classifier."""
    return BundledJudge(load_classifier(CLASSIFIER).to(device))


def measure(
    name: str, options: Mapping[str, Any], samples: Samples, setup: Setup
) -> dict[str, Measured]:
    """Fréchet distance to the training drawings, and the share of groups recognised."""
    stored = load_file(REFERENCE)
    drawings = Gaussian(stored["mean"].double().numpy(), stored["covariance"].double().numpy())
    distance = frechet_of(
        samples.moments("bundled.features"), drawings, "Fréchet distance (classifier)"
    )
    accuracy = mean_of(samples, "bundled.right", "class accuracy", "high", 3)
    found = {"frechet": distance, "accuracy": accuracy}
    return {metric: one for metric, one in found.items() if one is not None}
