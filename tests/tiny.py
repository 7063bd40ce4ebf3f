"""Tiny random networks of every available family, for laws that must hold whatever the weights are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from ar_guidance.guidance.base import Guidance, RunInfo
from ar_guidance.models import var, var_clip
from ar_guidance.models.family import Defaults, TransformerFamily
from ar_guidance.models.hart import network as hart
from ar_guidance.models.hart.network import HART, HARTConfig
from ar_guidance.models.infinity import network as infinity
from ar_guidance.models.infinity.network import Infinity, InfinityConfig
from ar_guidance.models.parts.text import TextCondition
from ar_guidance.models.switti import network as switti
from ar_guidance.models.switti.blocks import SwittiConfig
from ar_guidance.models.switti.network import Switti
from ar_guidance.models.tokenizers.bsq import BitwiseConfig, BitwiseVQ
from ar_guidance.models.tokenizers.multiscale_vq import MultiScaleVQ, MultiScaleVQConfig
from ar_guidance.models.var import VAR, VARConfig
from ar_guidance.models.var_clip import VARClip, VARClipConfig
from ar_guidance.sampling.draw import Filters, Streams, StreamSampler
from ar_guidance.sampling.edit import KeptTokens
from ar_guidance.sampling.plan import SamplerSettings, facts, plan
from ar_guidance.sampling.scalewise import ScalewiseResult, generate

CPU = torch.device("cpu")
SIDES = (1, 2, 3, 4)


def streams_of(seed: int, images: Sequence[int]) -> Streams:
    """The streams of these images of a batch."""
    return Streams.of((seed, image) for image in images)


@dataclass
class TinyModel:
    """A network, its codec, its family, and how to ask for things by number.

    Attributes:
        condition: numbers -> what the network takes of them.
        null: batch -> the unconditional branch's; by default the network's own.
    """

    network: Any
    codec: Any
    condition: Callable[[list[int]], Any] = torch.tensor
    null: Callable[[int], Any] | None = None
    family: TransformerFamily = var.FAMILY

    @property
    def config(self) -> Any:
        return self.network.config

    @property
    def defaults(self) -> Defaults:
        return self.family.defaults_for(self.config)

    @property
    def run(self) -> RunInfo:
        return facts(self, SamplerSettings())

    def sample(
        self,
        labels: list[int],
        guidances: tuple[Guidance, ...] = (),
        seed: int = 1,
        first: int = 0,
        filters: Filters | None = None,
        sampler_settings: SamplerSettings | None = None,
        kept: KeptTokens | None = None,
        images: Sequence[int] | None = None,
        **options: Any,
    ) -> ScalewiseResult:
        """Generate with per-image streams; `first` is the index of the first image, or `images` those of all.

        `sampler_settings`: as a user asks for it; otherwise all tokens are drawn with `filters`, by default without any.
        """
        null = self.null or self.network.null_condition
        streams = streams_of(seed, images or range(first, first + len(labels)))
        conditions = self.condition(labels), null(len(labels))
        job = plan(
            self,
            conditions,
            len(labels),
            guidances,
            sampler_settings or SamplerSettings(smooth=False),
            streams,
        )
        if sampler_settings is None:
            job = replace(job, draw=StreamSampler(filters or Filters(), streams))
        if kept is not None:
            job = replace(job, kept=kept)
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


def tiny_codec(seed: int = 1, **options: Any) -> MultiScaleVQ:
    codec = MultiScaleVQ(MultiScaleVQConfig(24, 6, 8, (1, 2), 1, 2, **options)).eval()
    randomise(codec, seed=seed)
    return codec


def texts(width: int, pooled: int = 0, padding: int = 3) -> Callable[[list[int]], TextCondition]:
    """Number -> a text of its own, of four to six tokens, padded."""

    def make(numbers: list[int]) -> TextCondition:
        rows, live, vectors = [], [], []
        for number in numbers:
            generator = torch.Generator().manual_seed(1000 + number)
            rows.append(torch.randn(6 + padding, width, generator=generator))
            live.append(torch.arange(6 + padding) < 4 + number % 3)
            vectors.append(torch.randn(pooled, generator=generator))
        return TextCondition(
            torch.stack(rows), torch.stack(live), torch.stack(vectors) if pooled else None
        )

    return make


def tiny_var_clip() -> TinyModel:
    config = VARClipConfig(2, 32, 2, 24, 6, 0, SIDES, 64, text_dim=8)
    network = VARClip(config).eval()
    randomise(network)
    text = texts(8)
    return TinyModel(
        network,
        tiny_codec(),
        lambda labels: F.normalize(text(labels).features[:, 0], dim=-1),
        family=var_clip.FAMILY,
    )


def tiny_switti(causal: bool = False) -> TinyModel:
    config = SwittiConfig(2, 32, 2, 24, 6, SIDES, 48, text_dim=8, pooled_dim=5, causal=causal)
    network = Switti(config).eval()
    randomise(network)
    text = texts(8, pooled=5)
    null = lambda batch: text([99] * batch)  # noqa: E731
    return TinyModel(network, tiny_codec(), text, null, switti.FAMILY)


def tiny_infinity() -> TinyModel:
    config = InfinityConfig((1, 1), 32, 2, 8, 64, 8, 12, 2, ratio=0.5, scales=4)
    network = Infinity(config).eval()
    randomise(network)
    codec = BitwiseVQ(BitwiseConfig(2, 24, (1, 1), 1, (1, 1), 2, patch=2)).eval()
    randomise(codec, seed=1)
    return TinyModel(network, codec, texts(8), family=infinity.FAMILY)


def tiny_hart() -> TinyModel:
    config = HARTConfig(2, 32, 2, 24, 6, SIDES, 48, 8, 9, head_width=16, head_depth=1, head_steps=3)
    network = HART(config).eval()
    randomise(network)
    return TinyModel(network, tiny_codec(hybrid=True), texts(8), family=hart.FAMILY)


FAMILIES: dict[str, Callable[[], TinyModel]] = {
    "var": tiny_var,
    "var_clip": tiny_var_clip,
    "switti": tiny_switti,
    "switti_ar": lambda: tiny_switti(causal=True),
    "infinity": tiny_infinity,
    "hart": tiny_hart,
}
"""One entry per family that has a scale-wise loop; the laws run over all of them."""
