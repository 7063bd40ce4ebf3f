"""What looks at samples: a judge turns images into numbers per sample, and later those numbers into metrics.

A judge is a module here with `check`, `open_judge` and `measure`; adding one is a module and a line in `MODULES`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..conditions import Asked
from ..estimates import Measured
from ..problems import EvaluationError
from ..samples import Samples

MODULES = {
    "bundled": "bundled",
    "inception": "inception",
    "clip": "clip",
    "pickscore": "clip",
    "hps": "clip",
    "image_reward": "image_reward",
    "geneval": "geneval",
}
Options = Mapping[str, Any]


class Judge(Protocol):
    """Looks at images."""

    def look(self, images: Tensor, asked: Asked) -> dict[str, np.ndarray]:
        """Column -> (B, ...) numbers of images (B, 3, H, W) in [-1, 1]."""
        ...


@dataclass(frozen=True)
class Setup:
    """What a judge needs to know of a run.

    Attributes:
        weights: folder that paths start from.
        cache: folder for what takes long and does not change.
        resolution: (height, width) of the samples in pixels.
        device: where networks run.
    """

    weights: Path
    cache: Path
    resolution: tuple[int, int]
    device: torch.device


def module_of(name: str) -> ModuleType:
    """The module of a judge.

    Raises:
        EvaluationError: there is none of this name.
    """
    if name not in MODULES:
        raise EvaluationError(f"unknown judge '{name}'; there are: {', '.join(MODULES)}")
    return import_module(f".{MODULES[name]}", __name__)


def check_judge(name: str, options: Options, weights: Path) -> None:
    """Raise EvaluationError, before anything is computed, where a judge cannot work."""
    module_of(name).check(name, options, weights)


def compares_sizes(name: str) -> bool:
    """Whether a judge can refuse samples for their size."""
    return hasattr(module_of(name), "check_size")


def check_size(name: str, options: Options, weights: Path, resolution: tuple[int, int]) -> None:
    """Raise EvaluationError, before anything is computed, where samples (height, width) cannot be compared."""
    module_of(name).check_size(name, options, weights, resolution)


def open_judge(name: str, options: Options, weights: Path, device: torch.device) -> Judge:
    """A judge, ready to look."""
    return module_of(name).open_judge(name, options, weights, device)


def measure(name: str, options: Options, samples: Samples, setup: Setup) -> dict[str, Measured]:
    """Metrics of a setting's samples."""
    return module_of(name).measure(name, options, samples, setup)


def known_options(name: str, options: Options, known: set[str]) -> None:
    """Raise EvaluationError for an option that a judge does not have."""
    unknown = set(options) - known
    if unknown:
        raise EvaluationError(
            f"judge '{name}': unknown option '{sorted(unknown)[0]}'; there are: {', '.join(sorted(known)) or 'none'}"
        )
