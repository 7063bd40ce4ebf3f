"""Models of a plan, loaded without a host: autoregressive ones here, EDM2 in `edm2.py`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from ar_guidance.loaders.detect import Part, find_part, fitted, has_part
from ar_guidance.loaders.fingerprint import fingerprint
from ar_guidance.loaders.read import CheckpointError, read_weights
from ar_guidance.models.family import Defaults, TransformerFamily
from torch import Tensor

from . import edm2
from .edm2 import LoadedEDM2
from .problems import EvaluationError
from .weights import DTYPES, Spec, files_of, network_of


@dataclass(frozen=True)
class LoadedModel:
    """A model as the loops take it (`ar_guidance.sampling.model.Model`), its networks on their device."""

    name: str
    family: TransformerFamily
    config: Any
    defaults: Defaults
    network: Any
    tokenizer: Any
    codec: str
    folder: Path
    device: torch.device
    resized: int = (
        0  # side in pixels its images are brought to before anything looks at them; 0 = as they are
    )

    @property
    def resolution(self) -> tuple[int, int]:
        """(height, width) of its images in pixels."""
        return _size_of(self.config, self.tokenizer.config.factor, self.resized)

    @property
    def parameters(self) -> int:
        """Of the transformer."""
        return sum(value.numel() for value in self.network.parameters())

    def null_condition(self, count: int) -> Tensor:
        """What stands for "no class", of so many samples."""
        return self.network.null_condition(count)

    def decode(self, features: Tensor) -> Tensor:
        """Feature maps -> images (B, 3, H, W) in [-1, 1]."""
        images = self.tokenizer.decode(features)
        if not self.resized:
            return images
        return F.interpolate(images.float(), self.resolution, mode="bicubic")


AnyModel: TypeAlias = LoadedModel | LoadedEDM2


def load(name: str, spec: Spec, weights: Path, device: torch.device) -> AnyModel:
    """A model of the plan, ready to sample.

    Raises:
        EvaluationError: unreadable, unknown or mismatched files.
    """
    if "diffusion" in spec:
        return edm2.load(name, spec, weights, device)
    main, codec = _parts(name, spec, weights)
    dtype = DTYPES[spec.get("dtype", "float32")]
    return LoadedModel(
        name=name,
        family=main.family,
        config=main.config,
        defaults=main.defaults,
        network=network_of(main, dtype, device),
        tokenizer=network_of(codec, torch.float32, device),
        codec=fingerprint(codec),
        folder=main.weights.folder,
        device=device,
        resized=spec.get("resized", 0),
    )


def resolution_of(name: str, spec: Spec, weights: Path) -> tuple[int, int]:
    """(height, width) of a model's images in pixels; no network is built.

    Raises:
        EvaluationError: unreadable, unknown or mismatched files.
    """
    if "diffusion" in spec:
        return edm2.resolution_of(name, spec, weights)
    main, codec = _parts(name, spec, weights)
    return _size_of(main.config, codec.config.factor, spec.get("resized", 0))


def _size_of(config: Any, factor: int, resized: int) -> tuple[int, int]:
    """(height, width) in pixels of a transformer's last grid, or of what it is brought to."""
    if resized:
        return resized, resized
    height, width = config.grid if hasattr(config, "grid") else config.grids[-1]
    return height * factor, width * factor


def _parts(name: str, spec: Spec, weights: Path) -> tuple[Part, Part]:
    """Transformer, at the size asked for, and tokenizer."""
    files = files_of(name, spec, weights)
    try:
        main = find_part(read_weights(files["transformer"]), "transformer")
        codec = fitted(main, _codec(main, files.get("tokenizer")))
        return _sized(main, codec, spec.get("image_size", 0)), codec
    except CheckpointError as error:
        raise EvaluationError(f"model '{name}': {error}") from error


def _codec(main: Part, path: Path | None) -> Part:
    if path is not None:
        return find_part(read_weights(path), "tokenizer")
    if not has_part(main.weights, "tokenizer"):
        raise CheckpointError(
            f"{main.weights.path.name} holds no image tokenizer: name its file under 'tokenizer'"
        )
    return find_part(main.weights, "tokenizer")


def _sized(main: Part, codec: Part, size: int) -> Part:
    """The transformer for square images of this side; 0 leaves it as it is."""
    if not size:
        return main
    factor = codec.config.factor
    try:
        if main.family.free_size:
            grid = (size // factor, size // factor)
            return replace(main, config=replace(main.config, grid=grid))
        return replace(main, config=main.family.sized(main.config, size, size, factor))
    except ValueError as error:
        raise CheckpointError(f"{main.weights.path.name}: image_size {size}: {error}") from error
