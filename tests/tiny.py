"""Tiny random networks of every available family, for laws that must hold whatever the weights are."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from ar_guidance.guidance.base import Guidance, Run
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.schedule import Schedule
from ar_guidance.models.tokenizers.multiscale_vq import MultiScaleVQ, MultiScaleVQConfig
from ar_guidance.models.var import VAR, VARConfig
from ar_guidance.sampling.draw import Filters, StreamDrawer, Streams
from ar_guidance.sampling.scalewise import ScalewiseResult, ScalewiseRun, generate

CPU = torch.device("cpu")
SIDES = (1, 2, 3, 4)


@dataclass
class TinyModel:
    """A network, its codec, and classes to ask for."""

    network: Any
    codec: Any

    @property
    def run(self) -> Run:
        return Run("scale", self.network.config.grids, published=Schedule("linear ramp"))

    def sample(
        self,
        labels: list[int],
        links: tuple[Guidance, ...] = (),
        seed: int = 1,
        first: int = 0,
        filters: Filters | None = None,
        **options: Any,
    ) -> ScalewiseResult:
        """Generate with per-image streams; `first` is the index of the first image."""
        job = ScalewiseRun(
            conditions=(torch.tensor(labels), self.network.null_condition(len(labels))),
            batch=len(labels),
            run=self.run,
            chain=Chain(links),
            draw=StreamDrawer(filters or Filters(), Streams(seed, len(labels), first)),
        )
        with torch.inference_mode():
            return generate(self.network, self.codec, job, CPU, **options)


def randomise(network: torch.nn.Module, seed: int = 0, std: float = 0.2) -> None:
    """Random weights large enough that every part of the network matters."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.0, std, generator=generator)


def tiny_var(shared_adaln: bool = False, qk_norm: bool = True) -> TinyModel:
    config = VARConfig(
        depth=2,
        width=32,
        heads=2,
        vocab=24,
        dim=6,
        classes=5,
        sides=SIDES,
        ffn=64,
        shared_adaln=shared_adaln,
        qk_norm=qk_norm,
    )
    network = VAR(config).eval()
    codec = MultiScaleVQ(MultiScaleVQConfig(24, 6, 8, (1, 2), 1, 2)).eval()
    randomise(network)
    randomise(codec, seed=1)
    return TinyModel(network, codec)


FAMILIES: dict[str, Callable[[], TinyModel]] = {"var": tiny_var}
"""One entry per family that has a scale-wise loop; the laws run over all of them."""
