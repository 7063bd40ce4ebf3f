"""HART: text-to-image next-scale prediction with hybrid tokens (arXiv 2410.10812), layout of the released checkpoint.

The first K-1 scales are codes; the last one is codes plus a continuous residual per position, drawn by a small
diffusion head.

Letters: B images, R branches (rows = R*B, branch by branch), C width, H heads, d head width, K scales, T tokens of a
scale, N those of the last, L tokens of all scales, V vocabulary, Z codebook channels, n text tokens, E text width.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from ..family import Defaults, FileFacts, TextSpec, TransformerFamily, same_codes
from ..parts.cache import KVCache, Weighable
from ..parts.diffusion import step_count
from ..parts.heads import head_count
from ..parts.levels import MOST_SCALES, sides_of_levels
from ..parts.network import Cached
from ..parts.norms import RMSNorm
from ..parts.operations import Operations, Place
from ..parts.settings import Json, decimal, whole, whole_list
from ..parts.text import TextCondition, stack_branches
from ..text.encoders import QWEN2
from ..tokenizers.multiscale_vq import MultiScaleVQConfig
from .blocks import Block, Head, NumberEmbed, ResidualHead, image_angles, text_angles
from .config import HARTConfig

# Entries of the release's config.json alone.
MARKS = ("num_sampling_steps", "context_token", "diff_width", "diffusion_batch_mul")


@dataclass
class HARTState(Weighable):
    """One run: what depends on the condition alone, computed once, the cache, and the last step's output."""

    text: Tensor  # (rows, n, C)
    modulation: Tensor | None  # (rows, 1, C)
    head: Tensor  # (rows, 1, 2, C)
    angles: list[Tensor]  # K x (rows, 1, T, d); the text's for scale 0
    cache: KVCache
    out: Tensor | None = None  # (rows, T, C) of the latest step


class HART(Cached[HARTConfig]):
    """The transformer. Implements the scale-wise protocol; a branch's condition is a `TextCondition`."""

    def build(self, operations: Operations, **place: Unpack[Place]) -> None:
        config = self.config
        width, text = config.width, config.text_dim
        self.word_embed = operations.Linear(config.dim, width, **place)
        self.context_norm = RMSNorm(text, config.eps, **place) if config.context_norm else None
        self.context_embed = operations.Linear(text, width, **place)
        self.lvl_embed = (
            operations.Embedding(len(config.sides), width, **place)
            if config.level_table
            else NumberEmbed(width, operations, **place)
        )
        blocks = [Block(config, operations, **place) for _ in range(config.depth)]
        self.blocks: Sequence[Block] = nn.ModuleList(blocks)  # pyright: ignore[reportAttributeAccessIssue]
        self.head_nm = Head(config, operations, **place)
        self.head = operations.Linear(width, config.vocab, **place)
        self.decoder_norm = RMSNorm(width, config.eps, **place)
        self.diffloss = ResidualHead(config, operations, **place)

    # --- the scale-wise protocol -----------------------------------------------------------------------------------

    def null_condition(self, batch: int) -> TextCondition:
        """No prompt: zeros, of which only the first is live."""
        c = self.config
        live = torch.zeros(batch, c.text_tokens, dtype=torch.bool)
        live[:, 0] = True
        return TextCondition(torch.zeros(batch, c.text_tokens, c.text_dim), live)

    def begin(
        self,
        branches: Sequence[TextCondition],
        device: torch.device,
        cache: type[KVCache] = KVCache,
    ) -> HARTState:
        """Start a run; `device`: where to compute; `cache`: how keys and values are kept."""
        c, given = self.config, stack_branches(branches, device)
        if given.features.shape[1] != c.text_tokens or given.live is None:
            raise ValueError(
                f"HART takes exactly {c.text_tokens} text tokens, padding included, not {given.features.shape[1]}"
            )
        text = self._embed_text(given.features)  # (rows, n, C)
        pooled = text.amax(1)  # over padding too, as the release does
        return HARTState(
            text=text,
            modulation=_live_mean(text, given.live) if c.shared_adaln else None,
            head=self.head_nm.modulation(pooled.to(self.compute_dtype)),
            angles=self._angles(given.live),
            # scale 0's token is predicted at the text's last position
            cache=self.new_cache(cache, len(text), device, start=c.text_tokens - 1),
        )

    def step(self, state: HARTState, scale: int, maps: Tensor | None, rows: int) -> Tensor:
        """Raw logits (rows, T, V), fp32, of the first `rows` rows.

        `maps` (B, Z, h, w): the accumulated feature map at this grid; None at scale 0, whose input is the text and
        whose one token is predicted at the text's last position.
        """
        if maps is None:
            x = state.text[:rows]
        else:
            x = self._embed_words(maps.flatten(2).transpose(1, 2))
            x = x.repeat(rows // x.shape[0], 1, 1)
        x = x + self._level(scale, x.device)
        modulation = None if state.modulation is None else state.modulation[:rows]
        for layer, block in enumerate(self.blocks):
            place = state.cache, layer
            x = block(x, modulation, state.angles[scale][:rows], place, self.compute_dtype)
        state.cache.advance(x.shape[1])
        x = x if maps is not None else x[:, -1:]
        state.out = x
        return self.logits(x, state.head[:rows])

    def residual(
        self,
        state: HARTState,
        codes: Tensor,
        strength: float,
        noise: Callable[..., Tensor],
        mix: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """The continuous part of the last scale, (B, Z, h, w): see `ResidualHead.sample`.

        `codes` (B, Z, h, w): those of the drawn tokens; `strength`: gamma of the last step; `mix`: all branches'
        estimates -> those of the conditional and the unconditional one, where several conditions make each.
        """
        assert state.out is not None
        words = self._embed_words(codes.flatten(2).transpose(1, 2))  # (B, N, C)
        batch, rows = codes.shape[0], state.out.shape[0]
        z = self.decoder_norm(state.out + words.repeat(rows // batch, 1, 1))
        drawn = self.diffloss.sample(z.to(self.compute_dtype), batch, strength - 1, noise, mix)
        return drawn.transpose(1, 2).unflatten(2, tuple(codes.shape[-2:]))

    def logits(self, x: Tensor, head: Tensor) -> Tensor:
        """Output of the blocks (rows, T, C), modulation (rows, 1, 2, C) -> (rows, T, V), fp32."""
        return self.head(self.head_nm(x, head).to(self.compute_dtype)).float()

    # --- pieces ----------------------------------------------------------------------------------------------------

    def _embed_text(self, features: Tensor) -> Tensor:
        normed = features if self.context_norm is None else self.context_norm(features)
        return self.context_embed(normed.to(self.compute_dtype)).float()

    def _embed_words(self, words: Tensor) -> Tensor:
        return self.word_embed(words.to(self.compute_dtype)).float()

    def _level(self, scale: int, device: torch.device) -> Tensor:
        """(1, C), fp32."""
        place = torch.tensor([scale], device=device)
        if isinstance(self.lvl_embed, NumberEmbed):
            return self.lvl_embed(place, self.compute_dtype).float()
        return self.lvl_embed(place).float()

    def _angles(self, live: Tensor) -> list[Tensor]:
        c = self.config
        positions = live.long().cumsum(1) - 1  # padding keeps the last live position
        width, last = c.width // c.heads, c.sides[-1]
        images = [image_angles(side, last, positions[:, -1], width) for side in c.sides[1:]]
        return [text_angles(positions, width), *images]


def _live_mean(text: Tensor, live: Tensor) -> Tensor:
    """Mean over the live tokens, (rows, 1, C)."""
    weights = live.float()[..., None]
    return (text * weights).sum(1, keepdim=True) / weights.sum(1, keepdim=True)


def plain_names(key: str, tensor: Tensor) -> tuple[str, Tensor]:
    """The joint projection under the name VAR's attention has for it."""
    return key.replace(".attn.qkv_proj.", ".attn.mat_qkv."), tensor


def config_from_file(facts: FileFacts) -> HARTConfig:
    """Sizes from shapes and the level buffer; heads and diffusion steps from the release's config.json."""
    shapes = facts.shapes
    width, dim = shapes["word_embed.weight"]
    depth = _count(shapes, "blocks.")
    settings = facts.own_settings({"depth": depth, "embed_dim": width}, MARKS, "hart")
    sides, text_tokens = _sequence(facts, settings)
    scale_mul = shapes.get("blocks.0.attn.scale_mul_1H11")
    return HARTConfig(
        depth=depth,
        width=width,
        heads=scale_mul[1] if scale_mul else head_count(settings, width),
        vocab=shapes["head.weight"][0],
        dim=dim,
        sides=sides,
        ffn=shapes["blocks.0.ffn.up_proj.weight"][0],
        text_dim=shapes["context_embed.weight"][1],
        text_tokens=text_tokens,
        head_width=shapes["diffloss.net.input_proj.weight"][0],
        head_depth=_count(shapes, "diffloss.net.res_blocks."),
        head_steps=step_count(settings.get("num_sampling_steps", 8)),
        shared_adaln="blocks.0.scale_shift_table" in shapes,
        qk_norm=scale_mul is not None,
        level_table="lvl_embed.weight" in shapes,
        context_norm="context_norm.weight" in shapes,
        eps=decimal(settings, "norm_eps", 1e-6, 0, 1),
    )


def _sequence(facts: FileFacts, settings: Mapping[str, Json]) -> tuple[tuple[int, ...], int]:
    """Sides of the scales, and the number of text tokens: from the level buffer, else from the settings."""
    if "lvl_1L" in facts.buffers:
        levels = facts.buffers["lvl_1L"].flatten()
        if not levels.numel() or int(levels.min()) < 0:
            raise ValueError("lvl_1L does not number the scales")
        image = torch.cat(
            [levels.new_zeros(1), levels[levels > 0]]
        )  # scale 0 has no slot of its own
        return sides_of_levels(image, int(levels.max()) + 1), int((levels == 0).sum())
    sides = whole_list(settings, "patch_nums", MOST_SCALES, 1024)
    tokens = whole(settings, "context_token", 0, 1, 1 << 16)
    if not sides or not tokens:
        raise ValueError(
            "the scale list is not in the file (no lvl_1L): put the release's config.json, which has it, beside the file"
        )
    return sides, tokens


def _count(shapes: Mapping[str, tuple[int, ...]], start: str) -> int:
    """How many numbered modules there are under `start`."""
    return len({key[len(start) :].split(".")[0] for key in shapes if key.startswith(start)})


def fit(config: HARTConfig, tokenizer: MultiScaleVQConfig) -> MultiScaleVQConfig:
    """The tokenizer with the last scale's codes left as they are: the residual is added to them."""
    return replace(same_codes(config, tokenizer), hybrid=True)


def text_or_nothing(config: HARTConfig, text: TextCondition) -> TextCondition:
    """The text as it is; of an empty prompt, which has no position of its own, what "no prompt" is: zeros, the first live."""
    assert text.live is not None
    some = text.live.any(1, keepdim=True)
    first = torch.arange(text.live.shape[1], device=text.live.device) == 0
    return TextCondition(text.features * some[..., None], torch.where(some, text.live, first))


FAMILY = TransformerFamily(
    name="hart",
    title="HART",
    required=(
        "diffloss.net.final_layer.linear.weight",
        "diffloss.net.input_proj.weight",
        "decoder_norm.weight",
        "context_embed.weight",
        "word_embed.weight",
        "head.weight",
        "blocks.0.attn.mat_qkv.weight",
        "blocks.0.ffn.up_proj.weight",
    ),
    config=config_from_file,
    build=HART,
    convert=plain_names,
    ignored=r"lvl_1L|attn_bias_for_masking",
    absent=r"blocks\.\d+\.attn\.zero_k_bias",
    conditioning="text",
    text=TextSpec(
        QWEN2,
        width=lambda config: config.text_dim,
        tokens=lambda config: config.text_tokens,
        fixed=True,
        masked=True,
        condition=text_or_nothing,
    ),
    kind="scale",
    tokenizer="multiscale_vq",
    sizes=((1024, 1024),),
    residual=True,
    smoothable=True,
    fit=fit,
    # The scripts: cfg 4.5, top-k 600 for the first seven scales and 300 after them, code vectors mixed.
    defaults=Defaults(
        scale=5.5, schedule="held ramp", top_k=600, top_p=0.0, late_top_k=(7, 300), smooth=True
    ),
)
