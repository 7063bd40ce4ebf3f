"""Switti: text-to-image next-scale prediction (arXiv 2412.01819), layout of the released checkpoints.

Two kinds share every tensor: Switti, where a scale sees itself and the text only (no cache between scales), and
Switti-AR, where it also sees the scales before it.

Letters: B images, R branches (rows = R*B, branch by branch), N blocks, C width, H heads, d head width, K scales,
T tokens of a scale, V vocabulary, Z codebook channels, n text tokens, E text width, P width of the pooled text.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from ..family import Defaults, FileFacts, TextSpec, TransformerFamily
from ..parts.cache import KVCache
from ..parts.heads import head_count
from ..parts.levels import sides_from_file
from ..parts.network import Cached
from ..parts.norms import plain_norm
from ..parts.operations import Operations, Place
from ..parts.rope import turns
from ..parts.settings import decimal
from ..parts.text import TextCondition, stack_branches
from ..text.encoders import CLIP_PAIR
from ..var import Head
from .blocks import Block, Frequencies, SwittiConfig, SwittiState, SwittiStep, scale_angles

MASK = "attn_bias_for_masking"  # training's mask, the only tensor that tells the two kinds apart
MARKS = ("use_ar", "use_crop_cond", "rope_size")  # entries of the release's config.json alone
GUIDED = 11  # scales of the 1024 models that are guided
TEXT_TOKENS = 77  # of CLIP


class Switti(Cached[SwittiConfig]):
    """The transformer. Implements the scale-wise protocol; a branch's condition is a `TextCondition`."""

    def build(self, operations: Operations, **place: Unpack[Place]) -> None:
        config = self.config
        width = config.width
        self.word_embed = operations.Linear(config.dim, width, **place)
        self.text_pooler = operations.Linear(config.pooled_dim, width, **place)
        self.pos_start = nn.Parameter(torch.empty(1, 1, width, **place))
        self.lvl_embed = operations.Embedding(len(config.sides), width, **place)
        self.crop_embed = Frequencies(width // 8, place.get("device"))
        self.crop_proj = operations.Linear(width, width, **place)
        blocks = [Block(config, operations, **place) for _ in range(config.depth)]
        self.blocks: Sequence[Block] = nn.ModuleList(blocks)  # pyright: ignore[reportAttributeAccessIssue]
        self.head_nm = Head(config, operations, **place)
        self.head = operations.Linear(width, config.vocab, **place)

    @property
    def positions(self) -> int:
        """Only the causal kind sees earlier scales."""
        return self.config.causal * super().positions

    @property
    def text_positions(self) -> int:
        return TEXT_TOKENS

    def begin(
        self,
        branches: Sequence[TextCondition],
        device: torch.device,
        cache: type[KVCache] = KVCache,
    ) -> SwittiState:
        """Start a run; `device`: where to compute; `cache`: how keys and values are kept."""
        text = stack_branches(branches, device)
        assert text.pooled is not None and text.live is not None
        condition, crop = self.condition(text.pooled), self.crop(device)
        c = condition.to(self.compute_dtype)
        return SwittiState(
            first=condition[:, None] + self.pos_start.to(device).float() + self._level(0, device),
            texts=[
                block.cross_attn.text(block.attention_y_norm(text.features).to(c.dtype))
                for block in self.blocks
            ],
            live=text.live[:, None, None],
            modulations=[block.modulation(condition, crop, c.dtype) for block in self.blocks],
            head=self.head_nm(c),
            cache=self.new_cache(cache, len(c), device) if self.config.causal else None,
        )

    def step(self, state: SwittiState, scale: int, maps: Tensor | None, rows: int) -> Tensor:
        """Raw logits (rows, T, V), fp32, of the first `rows` rows.

        `maps` (B, Z, h, w): the accumulated feature map at this grid; None at scale 0.
        """
        device = state.first.device
        if maps is None:
            x = state.first[:rows]
        else:
            words = self.word_embed(maps.flatten(2).transpose(1, 2).to(self.compute_dtype))
            x = words.float() + self._level(scale, device)  # (B, T, C)
            x = x.repeat(rows // x.shape[0], 1, 1)
        table = turns(scale_angles(self.config, self.config.sides[scale], device))
        step = SwittiStep(state, table, self.compute_dtype)
        for layer, block in enumerate(self.blocks):
            x = block(x, layer, step)
        if state.cache is not None:
            state.cache.advance(x.shape[1])
        gain, shift = state.head[:rows].unbind(2)
        return self.head((plain_norm(x) * (1 + gain) + shift).to(self.compute_dtype)).float()

    def condition(self, pooled: Tensor) -> Tensor:
        """Pooled text (rows, P) -> condition (rows, C), fp32."""
        return self.text_pooler(pooled.to(self.compute_dtype)).float()

    def crop(self, device: torch.device) -> Tensor:
        """The crop condition (1, C), fp32."""
        return self.crop_proj(
            self.crop_embed(self.config.crop, device).to(self.compute_dtype)
        ).float()

    def _level(self, scale: int, device: torch.device) -> Tensor:
        return self.lvl_embed(torch.tensor([scale], device=device)).float()


def config_from_file(facts: FileFacts) -> SwittiConfig:
    """Sizes from shapes; the kind from training's mask, or from the release's config.json beside the file."""
    shapes = facts.shapes
    width, dim = shapes["word_embed.weight"]
    depth = len({key.split(".")[1] for key in shapes if key.startswith("blocks.")})
    settings = facts.own_settings({"depth": depth, "embed_dim": width}, MARKS, "switti")
    if MASK in facts.samples:
        causal = facts.samples[MASK] == 0
    elif settings.get("use_ar") is not None:
        causal = bool(settings["use_ar"])
    else:
        raise ValueError(
            "whether this is Switti or Switti-AR cannot be told from the weights: put the release's config.json"
            " beside the file"
        )
    return SwittiConfig(
        depth=depth,
        width=width,
        heads=head_count(settings, width),
        vocab=shapes["head.weight"][0],
        dim=dim,
        sides=sides_from_file(facts),
        ffn=shapes["blocks.0.ffn.up_proj.weight"][0],
        text_dim=shapes["blocks.0.cross_attn.to_kv.weight"][1],
        pooled_dim=shapes["text_pooler.weight"][1],
        causal=causal,
        rope_theta=decimal(settings, "rope_theta", 10000),
        rope_size=decimal(settings, "rope_size", 128),
    )


def published(config: SwittiConfig) -> Defaults:
    """cfg 6; runs of more than 11 scales (1024 pixels) as in the release's example, shorter ones as its pipeline does.

    The example guides and mixes code vectors up to scale 10; from scale 11 on it draws at temperature 0.1, unguided.
    The pipeline's own settings would switch guidance off from scale 10 on, which those shorter runs never reach.
    """
    common = Defaults(
        scale=7.0, schedule="linear ramp", top_k=400, top_p=0.95, smooth_filtered=False
    )
    last = len(config.sides) - 1
    if last < GUIDED:
        return replace(common, smooth_steps=(0, GUIDED - 1))
    return replace(
        common,
        end=(GUIDED - 0.5) / last,  # between scales 10 and 11
        late_temperature=(GUIDED, 0.1),
        smooth=True,
        smooth_steps=(2, GUIDED),
    )


FAMILY = TransformerFamily(
    name="switti",
    title="Switti",
    required=(
        "text_pooler.weight",
        "blocks.0.cross_attn.to_kv.weight",
        "blocks.0.attention_y_norm.weight",
        "lvl_embed.weight",
        "word_embed.weight",
        "head.weight",
        "blocks.0.ffn.up_proj.weight",
    ),
    config=config_from_file,
    build=Switti,
    ignored=rf"{MASK}|lvl_1L",
    samples=((MASK, (0, 0, -1, 0)),),
    conditioning="text",
    text=TextSpec(
        CLIP_PAIR,
        width=lambda config: config.text_dim,
        tokens=lambda config: TEXT_TOKENS,
        masked=True,
        pooled=lambda config: config.pooled_dim,
    ),
    null="prompt",
    kind="scale",
    tokenizer="multiscale_vq",
    sizes=((512, 512), (1024, 1024)),
    smoothable=True,
    causal=lambda config: config.causal,
    dtypes=(torch.bfloat16, torch.float16, torch.float32),  # released pipelines run in bfloat16
    defaults=published,
)
