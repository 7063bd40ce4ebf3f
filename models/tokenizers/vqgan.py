"""VQGAN image tokenizers (arXiv 2012.09841) as VQ-Diffusion uses them: images <-> one grid of tokens, released layouts.

Letters: B images, E codebook channels, Z encoder channels, V tokens, (h, w) the token grid. Three kinds of codebook: vectors
compared by distance; the same, kept as a moving average; and a layer that gives a score for every code (Gumbel). A transformer
may know a part of the codes only: then a list says which number each code has for it.
"""

import re
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from ..family import FileFacts, TokenizerFamily
from ..parts.grid import Grid
from ..parts.operations import Operations, Place
from .codebook import Codebook
from .conv_blocks import AttentionBlock, Upsample
from .convnet import Level, Middle, finest_maps
from .movq import Encoder, MoVQConfig
from .movq import config_from_file as movq_config
from .shell import ProjectedCodes
from .tiles import TiledDecoder

INSIDE = "content_codec."  # of a VQ-Diffusion checkpoint


@dataclass(frozen=True)
class VQGANConfig(MoVQConfig):
    """Sizes of a tokenizer.

    Attributes:
        vocab: tokens as the transformer counts them.
        codes: codes in the codebook.
        scored: a layer scores the codes (Gumbel), in place of distances.
        lists: lists of kept codes found beside the file, each with the small number of every code.
        small: the one in use, () = all codes are tokens.
    """

    codes: int = 0
    scored: bool = False
    lists: tuple[tuple[int, ...], ...] = ()
    small: tuple[int, ...] = ()

    @property
    def held_per_pixel(self) -> float:
        return finest_maps(self.widths)

    def reduced(self, vocab: int) -> "VQGANConfig":
        """The config for a transformer of `vocab` tokens.

        Raises:
            ValueError: there is no list of so many kept codes for this codebook.
        """
        if vocab == self.codes:
            return replace(self, vocab=vocab, lists=(), small=())
        for small in self.lists:
            if len(small) == self.codes and max(small) + 1 == vocab:
                return replace(self, vocab=vocab, lists=(), small=small)
        raise ValueError(
            f"the transformer knows {vocab} of the tokenizer's {self.codes} codes, and the list that says which is missing:"
            f" put taming_vqvae_{vocab}.pt of VQ-Diffusion's repository (help_folder/statistics) beside the tokenizer's file"
        )


class Decoder(TiledDecoder):
    """(B, Z, h, w) -> (B, 3, f*h, f*w), about [-1, 1], not clamped."""

    def __init__(self, config: VQGANConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        widths, last = config.widths, len(config.widths) - 1
        self.conv_in = ops.Conv2d(config.latent, widths[-1], 3, padding=1, **place)
        self.mid = Middle(widths[-1], config.groups, AttentionBlock, ops, **place)
        self.up = nn.ModuleList()
        for i, width in enumerate(widths):
            steps = [widths[min(i + 1, last)]] + [width] * (config.res_blocks + 1)
            attention = AttentionBlock if config.attends(i) else None
            level = Level(steps, config.groups, attention, ops, **place)
            if i:
                level.upsample = Upsample(width, ops, **place)
            self.up.append(level)
        groups = config.groups(widths[0])
        self.norm_out = ops.GroupNorm(groups, widths[0], eps=1e-6, affine=True, **place)
        self.conv_out = ops.Conv2d(widths[0], 3, 3, padding=1, **place)

    def layers(self) -> list[nn.Module]:
        return [self.mid, *(part for level in reversed(self.up) for part in level.parts())]  # pyright: ignore


class Quantizer(Codebook):
    """The codebook, and the scoring layer where there is one."""

    def __init__(self, config: VQGANConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__(config.codes, config.dim, ops, **place)
        self.proj = ops.Conv2d(config.dim, config.codes, 1, **place) if config.scored else None

    def nearest(self, features: Tensor) -> Tensor:
        """The code of every position, (B, E, h, w) -> (B, h*w): least squared distance, or the highest score.

        The authors of the scored kind add Gumbel noise; here the same image always gives the same tokens.
        """
        if self.proj is not None:
            return self.proj(features).flatten(2).argmax(1)
        return super().nearest(features)


class VQGAN(ProjectedCodes[VQGANConfig]):
    """The tokenizer."""

    def parts(
        self, operations: Operations, **place: Unpack[Place]
    ) -> tuple[Encoder, Decoder, Quantizer]:
        c = self.config
        return (
            Encoder(c, operations, **place),
            Decoder(c, operations, **place),
            Quantizer(c, operations, **place),
        )

    def lookup(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Code vectors of tokens (B, h*w), row-major, as a map (B, E, h, w), fp32."""
        if self.config.small:
            tokens = first_codes(self.config.small).to(tokens.device)[tokens]
        return super().lookup(tokens, grid)

    def nearest_code(self, features: Tensor) -> Tensor:
        """The token of every position, (B, E, h, w) -> (B, h*w); a code that was dropped counts as token 0, as released."""
        codes = super().nearest_code(features)
        small = self.config.small
        return torch.tensor(small, device=codes.device)[codes] if small else codes


def first_codes(small: tuple[int, ...]) -> Tensor:
    """The first code with each small number, (V,)."""
    places: dict[int, int] = {}
    for code, number in enumerate(small):
        places.setdefault(number, code)
    return torch.tensor([places[number] for number in range(len(places))])


# --- the files --------------------------------------------------------------------------------------------------------


def plain_names(key: str, tensor: Tensor) -> tuple[str, Tensor]:
    """The three codebooks' names as one, of a tokenizer's own file or inside a VQ-Diffusion checkpoint."""
    if re.search(r"quantize\.(embed\.weight|embedding)$", key):
        return re.sub(
            r"quantize\.(embed\.weight|embedding)$", "quantize.embedding.weight", key
        ), tensor
    return key, tensor


def taken_out(name: str) -> str:
    """A key of the tokenizer inside a checkpoint as its own file has it."""
    return re.sub(r"^content_codec\.(enc|dec)\.", "", name)


def config_from_file(facts: FileFacts) -> VQGANConfig:
    """Sizes from shapes; lists of kept codes from beside the file."""
    shapes = {taken_out(key): shape for key, shape in facts.shapes.items()}
    sizes = movq_config(replace(facts, shapes=shapes))
    return VQGANConfig(
        **vars(sizes),
        codes=sizes.vocab,
        scored="quantize.proj.weight" in shapes,
        lists=facts.code_lists,
    )


def inside(config: VQGANConfig, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tokenizer's tensors of a VQ-Diffusion checkpoint."""
    return {taken_out(k): v for k, v in tensors.items() if k.startswith(INSIDE)}


_IGNORED = r"(?!(encoder|decoder|quantize|quant_conv|post_quant_conv)\.).*|quantize\.(?!embedding\.|proj\.).*"
_REQUIRED = (
    "decoder.norm_out.weight",
    "quantize.embedding.weight",
    "encoder.conv_in.weight",
    "encoder.down.0.block.0.conv2.weight",
    "encoder.mid.attn_1.q.weight",
    "quant_conv.weight",
)
FAMILY = TokenizerFamily(
    name="vqgan",
    title="VQGAN image tokenizer",
    required=_REQUIRED,
    config=config_from_file,
    build=VQGAN,
    convert=plain_names,
    ignored=_IGNORED,
)
FAMILY_INSIDE = replace(
    FAMILY,
    title="VQGAN image tokenizer (inside a VQ-Diffusion checkpoint)",
    required=tuple(
        f"{INSIDE}{'dec' if name.startswith('decoder') else 'enc'}.{name}" for name in _REQUIRED
    ),
    trim=inside,
)
