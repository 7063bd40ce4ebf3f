"""ImageReward, by its authors' own package. Options: `model` (ImageReward.pt), `config` (med_config.json).

Needs `pip install image-reward`, which asks for other versions of transformers than ComfyUI has: use an environment of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...bundled.sample import as_uint8
from ..conditions import Asked
from ..estimates import Measured, mean_of
from ..problems import EvaluationError
from ..samples import Samples
from . import Setup, known_options

Options = Mapping[str, Any]


@dataclass(frozen=True)
class RewardJudge:
    """The reward of every image for its words."""

    network: Any

    def look(self, images: Tensor, asked: Asked) -> dict[str, np.ndarray]:
        if not asked.prompts:
            raise EvaluationError("judge 'image_reward' needs samples that were made from prompts")
        pixels = [Image.fromarray(one) for one in as_uint8(images).cpu().numpy()]
        pairs = zip(asked.prompts, pixels, strict=True)
        scores = [float(self.network.score(words, [image])) for words, image in pairs]
        return {"score": np.array(scores, dtype=np.float32)}


def check(name: str, options: Options, weights: Path) -> None:
    """Options, files, and the package."""
    known_options(name, options, {"model", "config"})
    for needed in ("model", "config"):
        path = (weights / str(options.get(needed, ""))).expanduser()
        if needed not in options or not path.is_file():
            raise EvaluationError(f"judge 'image_reward' needs '{needed}', a file: {__doc__}")
    _package()


def _package() -> Any:
    try:
        import ImageReward  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise EvaluationError(
            f"judge 'image_reward': its package is not installed. {__doc__}"
        ) from error
    return ImageReward


def open_judge(name: str, options: Options, weights: Path, device: torch.device) -> RewardJudge:
    """The network from its files."""
    files = {part: str((weights / str(options[part])).expanduser()) for part in ("model", "config")}
    network = _package().load(files["model"], device=str(device), med_config=files["config"])
    return RewardJudge(network)


def measure(name: str, options: Options, samples: Samples, setup: Setup) -> dict[str, Measured]:
    """The mean reward."""
    found = mean_of(samples, "image_reward.score", "ImageReward", "high", 3)
    return {} if found is None else {"image_reward": found}
