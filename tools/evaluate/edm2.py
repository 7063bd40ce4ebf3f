"""EDM2 in a plan (IGG, arXiv 2509.23876, Tables 1 and 5): sampled by the loop that AR EDM2 Decode runs, without a host.

    s: {diffusion: edm2-img512-s-....pkl, guide: edm2-img512-xs-uncond-....pkl, vae: sd-vae-ft-mse, dtype: float16}

`vae` is a folder in diffusers' layout, of networks that draw latents: the one the authors decode with.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from ar_guidance.guidance.base import Guidance, RunInfo
from ar_guidance.guidance.record import NULL_RECORDER, Recorder
from ar_guidance.loaders.detect import DiffusionPart, find_part
from ar_guidance.loaders.pair import check_pair
from ar_guidance.loaders.read import CheckpointError, read_weights
from ar_guidance.models.edm2.config import EDM2Config
from ar_guidance.models.edm2.images import VAE_FACTOR, from_pixels, raw_latents
from ar_guidance.models.edm2.network import EDM2
from ar_guidance.models.family import DiffusionFamily
from ar_guidance.sampling.diffusion import Guided, diffusion_run
from ar_guidance.sampling.draw import Streams
from ar_guidance.sampling.heun import Heun, generate
from torch import Tensor

from .library import make_torchvision_importable
from .plan import Plan, Setting
from .problems import EvaluationError
from .weights import DTYPES, Spec, files_of, network_of


@dataclass(frozen=True)
class LoadedEDM2:
    """A network, what guides it, and what decodes its latents, on their device."""

    name: str
    family: DiffusionFamily
    config: EDM2Config
    network: EDM2
    guide: EDM2 | None
    vae: Any  # diffusers' AutoencoderKL; None of a network that draws pixels
    device: torch.device

    @property
    def resolution(self) -> tuple[int, int]:
        """(height, width) of its images in pixels."""
        return _size_of(self.config)

    @property
    def parameters(self) -> int:
        """Of the network that draws."""
        return sum(value.numel() for value in self.network.parameters())

    def null_condition(self, count: int) -> Tensor:
        """The number behind the last class, of so many samples. The guide decides for itself what it reads."""
        return torch.full((count,), self.config.classes)

    def run(self, steps: int) -> RunInfo:
        """What guidances are told about a run."""
        return diffusion_run(steps, (self.config.resolution, self.config.resolution))

    def sample(
        self,
        labels: Tensor,
        guidances: tuple[Guidance, ...],
        heun: Heun,
        streams: Streams,
        recorder: Recorder = NULL_RECORDER,
    ) -> Tensor:
        """Draw (B, C, H, W) in the network's units.

        Args:
            labels: (B,) class numbers.
            streams: random numbers, one stream per image.

        Raises:
            ValueError: a guidance that cannot act here, or for which there is no guide.
        """
        size = self.config.resolution
        shape, guide = (self.config.channels, size, size), self.guide
        weights = F.one_hot(labels, self.config.classes + 1)[:, :-1].float().to(self.device)
        denoiser = Guided.of(
            lambda x, sigma: self.network(x, sigma, weights),
            None if guide is None else lambda x, sigma: guide(x, sigma, weights),
            guidances,
            self.run(heun.steps),
            recorder,
        )
        noise = streams.normals(shape, self.device)
        return generate(denoiser, noise, heun, fresh=lambda: streams.normals(shape, self.device))

    def decode(self, x: Tensor) -> Tensor:
        """The network's units -> images (B, 3, H, W) in [-1, 1], in the 256 steps the authors save."""
        if self.vae is None:
            return from_pixels(x) * 2 - 1
        image = self.vae.decode(raw_latents(x)).sample  # 0-1: see models/edm2/images.py
        return (image.clamp(0, 1) * 255).floor() / 127.5 - 1


def check(plan: Plan, weights: Path) -> None:
    """What a plan asks of its diffusion models, before a sample is made.

    Raises:
        EvaluationError: files that do not belong together, prompts, tokens to keep.
    """
    for name, spec in plan.models.items():
        if "diffusion" not in spec:
            continue
        _parts(name, spec, weights)
        if plan.keep == "tokens":
            raise EvaluationError(f"model '{name}' has no tokens to keep: say 'keep: png'")
        _check_conditions(name, (s for s in plan.settings if s.model == name))


def _check_conditions(name: str, settings: Iterable[Setting]) -> None:
    for setting in settings:
        if "classes" not in setting.conditions:
            raise EvaluationError(
                f"{setting.name}: model '{name}' knows classes and reads no text: 'conditions' must name classes"
            )


def resolution_of(name: str, spec: Spec, weights: Path) -> tuple[int, int]:
    """(height, width) of a model's images in pixels; no network is built.

    Raises:
        EvaluationError: unreadable, unknown or mismatched files.
    """
    return _size_of(_parts(name, spec, weights)[0].config)


def _size_of(config: EDM2Config) -> tuple[int, int]:
    size = config.resolution * (VAE_FACTOR if config.latent else 1)
    return size, size


def load(name: str, spec: Spec, weights: Path, device: torch.device) -> LoadedEDM2:
    """Networks of the plan, ready to sample.

    Raises:
        EvaluationError: unreadable, unknown or mismatched files.
    """
    main, guide = _parts(name, spec, weights)
    dtype = DTYPES[spec.get("dtype", "float32")]
    return LoadedEDM2(
        name=name,
        family=main.family,
        config=main.config,
        network=network_of(main, dtype, device),
        guide=None if guide is None else network_of(guide, dtype, device),
        vae=_vae(name, files_of(name, spec, weights).get("vae"), device),
        device=device,
    )


def _parts(name: str, spec: Spec, weights: Path) -> tuple[DiffusionPart, DiffusionPart | None]:
    """The network that draws and the one that guides it, checked against each other and the VAE."""
    files = files_of(name, spec, weights)
    try:
        main = find_part(read_weights(files["diffusion"]), "diffusion")
        guide = None
        if "guide" in files:
            guide = find_part(read_weights(files["guide"]), "diffusion")
            check_pair(main, guide)
    except CheckpointError as error:
        raise EvaluationError(f"model '{name}': {error}") from error
    _check_vae(name, main.config, files.get("vae"))
    return main, guide


def _check_vae(name: str, config: EDM2Config, path: Path | None) -> None:
    """Raise EvaluationError for a VAE that cannot decode what the network draws, by its config.json."""
    if not config.latent:
        if path is not None:
            raise EvaluationError(f"model '{name}' draws pixels: leave 'vae' out")
        return
    if path is None:
        raise EvaluationError(
            f"model '{name}' draws latents: name sd-vae-ft-mse, a folder in diffusers' layout, under 'vae'"
        )
    try:
        sizes = json.loads((path / "config.json").read_text(encoding="utf-8"))
        channels, reduction = sizes["latent_channels"], 2 ** (len(sizes["block_out_channels"]) - 1)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvaluationError(
            f"model '{name}': {path} is no folder of diffusers' AutoencoderKL: its config.json does not say its sizes"
        ) from error
    if (channels, reduction) != (config.channels, VAE_FACTOR):
        raise EvaluationError(
            f"model '{name}': the VAE has {channels} channels and reduces by {reduction}, EDM2's latents have"
            f" {config.channels} and {VAE_FACTOR}: name sd-vae-ft-mse"
        )


def _vae(name: str, path: Path | None, device: torch.device) -> Any:
    """diffusers' AutoencoderKL from a folder; nothing is downloaded, and nothing in the file is run."""
    if path is None:
        return None
    make_torchvision_importable()
    try:
        from diffusers import AutoencoderKL  # pyright: ignore[reportMissingImports]
    except (ImportError, RuntimeError) as error:  # diffusers makes the one the other
        raise EvaluationError(
            f"model '{name}': decoding latents needs diffusers: pip install -r tools/evaluate/requirements.txt"
        ) from error
    try:
        vae = AutoencoderKL.from_pretrained(
            str(path), local_files_only=True, use_safetensors=True, torch_dtype=torch.float32
        )
    except (OSError, ValueError) as error:
        raise EvaluationError(f"model '{name}': the VAE cannot be read: {error}") from error
    return vae.to(device).eval()
