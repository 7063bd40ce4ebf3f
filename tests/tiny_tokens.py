"""Tiny random token-wise networks of every available family."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from ar_guidance.guidance.base import Guidance, RunInfo
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.record import NULL_RECORDER, Recorder
from ar_guidance.guidance.schedule import Schedule
from ar_guidance.models import alitok, llamagen, lumina2, simplear
from ar_guidance.models.alitok import AliTok, AliTokConfig
from ar_guidance.models.family import Defaults, TransformerFamily
from ar_guidance.models.llamagen import LlamaGen, LlamaGenConfig, left_pad
from ar_guidance.models.lumina2 import Lumina, LuminaConfig
from ar_guidance.models.parts.cache import KVCache
from ar_guidance.models.parts.prompt import Prompt
from ar_guidance.models.simplear import SimpleAR, SimpleARConfig
from ar_guidance.sampling.draw import AddressedSampler, Filters
from ar_guidance.sampling.edit import KeptSequence
from ar_guidance.sampling.plan import SamplerSettings, facts
from ar_guidance.sampling.tokenwise import TokenwiseJob, TokenwiseResult, generate
from ar_guidance.tests.tiny import CPU, randomise, streams_of


@dataclass
class TinyTokens:
    """A network, its family, and functions from class numbers, and from their count, to the conditions of both branches."""

    network: Any
    condition: Callable[[list[int]], Any]
    family: TransformerFamily = llamagen.FAMILY_CLASS
    null: Callable[[int], Any] | None = None

    @property
    def config(self) -> Any:
        return self.network.config

    @property
    def defaults(self) -> Defaults:
        return self.family.defaults_for(self.config)

    @property
    def run(self) -> RunInfo:
        return replace(facts(self, SamplerSettings()), published=Schedule("constant"))

    def job(
        self,
        labels: list[int],
        guidances: tuple[Guidance, ...] = (),
        seed: int = 1,
        first: int = 0,
        filters: Filters | None = None,
        kept: KeptSequence | None = None,
        images: Sequence[int] | None = None,
        widest: int = 1,
        cache: type[KVCache] = KVCache,
    ) -> TokenwiseJob:
        """A run with per-image streams; `first` is the index of the first image, or `images` those of all."""
        null = self.null or self.network.null_condition
        streams = streams_of(seed, images or range(first, first + len(labels)))
        return TokenwiseJob(
            conditions=(self.condition(labels), null(len(labels))),
            batch=len(labels),
            run=self.run,
            chain=Chain(guidances),
            draw=AddressedSampler(filters or Filters(), streams),
            kept=kept,
            widest=widest,
            row=self.config.grid[1],
            cache=cache,
        )

    def sample(
        self,
        labels: list[int],
        guidances: tuple[Guidance, ...] = (),
        on_step: Callable = lambda progress: None,
        recorder: Recorder = NULL_RECORDER,
        **options: Any,
    ) -> TokenwiseResult:
        with torch.inference_mode():
            job = self.job(labels, guidances, **options)
            return generate(self.network, job, CPU, on_step, recorder)


def caption(labels: list[int]) -> Any:
    """Text features and masks that depend on the numbers, of different lengths."""
    features = torch.stack(
        [torch.randn(6, 12, generator=torch.Generator().manual_seed(label)) for label in labels]
    )
    lengths = torch.tensor([1 + label % 6 for label in labels])
    return left_pad(features, (torch.arange(6) < lengths[:, None]).long())


def tiny_llamagen() -> TinyTokens:
    network = LlamaGen(LlamaGenConfig(2, 32, 2, 24, 48, (3, 4), classes=5)).eval()
    randomise(network)
    return TinyTokens(network, torch.tensor)


def tiny_llamagen_text() -> TinyTokens:
    config = LlamaGenConfig(2, 32, 2, 24, 48, (3, 3), caption_width=12, prefix=6)
    network = LlamaGen(config).eval()
    randomise(network)
    network.cls_embedding.uncond_embedding.normal_(generator=torch.Generator().manual_seed(3))
    return TinyTokens(network, caption, llamagen.FAMILY_TEXT)


def tiny_alitok() -> TinyTokens:
    network = AliTok(AliTokConfig(2, 32, 2, 24, 48, 5, line=3, grid=(3, 3))).eval()
    randomise(network)
    return TinyTokens(network, torch.tensor, alitok.FAMILY)


def prompt(labels: list[int]) -> Prompt:
    """Text ids that depend on the numbers, of different lengths."""
    return Prompt.of(
        [[8, *[(3 * label + i) % 7 for i in range(1 + label % 4)], 9] for label in labels]
    )


def tiny_simplear() -> TinyTokens:
    """Shared keys, tied matrices, and an unconditional branch longer than some prompts."""
    config = SimpleARConfig(2, 32, 4, 2, 8, 48, 24, 10, (8, 9), (3, 4))
    network = SimpleAR(config).eval()
    randomise(network)
    return TinyTokens(
        network, prompt, simplear.FAMILY, lambda batch: Prompt.of([[8, 1, 5, 2, 9]] * batch)
    )


def tiny_lumina() -> TinyTokens:
    config = LuminaConfig(
        2, 32, 4, 2, 8, 48, 60, 30, 24, 20, 21, 22, (23, 24), (4, 4), norms=2, context=80
    )
    network = Lumina(config).eval()
    randomise(network)
    return TinyTokens(network, lambda labels: prompts(labels, config.head), lumina2.FAMILY)


def prompts(labels: list[int], head: tuple[int, ...]) -> Prompt:
    """Texts that depend on the numbers, of different lengths."""
    rows = []
    for label in labels:
        generator = torch.Generator().manual_seed(label)
        text = torch.randint(0, 20, (3 + label % 4,), generator=generator)
        rows.append([*text.tolist(), *head])
    return Prompt.of(rows)


TOKEN_FAMILIES: dict[str, Callable[[], TinyTokens]] = {
    "llamagen": tiny_llamagen,
    "llamagen_text": tiny_llamagen_text,
    "alitok": tiny_alitok,
    "simplear": tiny_simplear,
    "lumina_mgpt2": tiny_lumina,
}
"""One entry per family that has a token-wise loop; the laws run over all of them."""
