"""VAR: class-conditional next-scale prediction (arXiv 2404.02905), layout of the released checkpoints.

Letters: B images, R branches (rows = R*B, branch by branch), N blocks, C width, H heads, d head width, K scales,
T tokens of a scale, L tokens of all scales, V vocabulary, Z codebook channels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from .family import Defaults, FileFacts, TransformerFamily
from .parts.attention import attend_many
from .parts.cache import KVCache, LayerCache, PositionWeights, Weighable
from .parts.cast import cast_like
from .parts.feedforward import FeedForward, Widths
from .parts.levels import SquareScales, level_index, sides_from_file
from .parts.linear import linear
from .parts.network import Cached
from .parts.norms import plain_norm
from .parts.operations import Operations, Place
from .parts.plain_attention import Attending
from .parts.sizes import check_heads


@dataclass(frozen=True)
class VARConfig(SquareScales):
    """Sizes of a network, all recovered from the file's keys and shapes; `classes` is 0 where text is the condition."""

    depth: int
    width: int
    heads: int
    vocab: int
    dim: int
    classes: int
    sides: tuple[int, ...]
    ffn: int
    shared_adaln: bool = False
    qk_norm: bool = True

    def __post_init__(self) -> None:
        check_heads(self.width, self.heads)


class AttentionConfig(Protocol):
    """Sizes of a layer's attention; HART's and Infinity's networks have the same."""

    @property
    def width(self) -> int: ...

    @property
    def heads(self) -> int: ...

    @property
    def qk_norm(self) -> bool: ...


class Attention(Attending):
    """Self-attention over everything cached; with qk-norm the softmax scale is learnt per head."""

    zero_k_bias: Tensor

    def __init__(self, config: AttentionConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.scale = 1.0 if config.qk_norm else 0.25 / math.sqrt(width // config.heads)
        self.scale_mul_1H11 = (
            nn.Parameter(torch.empty(1, config.heads, 1, 1, **place)) if config.qk_norm else None
        )
        self.q_bias = nn.Parameter(torch.empty(width, **place))
        self.v_bias = nn.Parameter(torch.empty(width, **place))
        self.zero_k_bias: Tensor
        self.register_buffer("zero_k_bias", torch.zeros(width, **place))
        self.mat_qkv = ops.Linear(width, 3 * width, bias=False, **place)
        self.proj = ops.Linear(width, width, **place)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (rows, T, C) -> q, k, v (rows, H, T, d); q and k normalised in fp32."""
        bias = torch.cat([self.q_bias, self.zero_k_bias.to(self.q_bias.device), self.v_bias])
        qkv = linear(self.mat_qkv, x, cast_like(bias, x))
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if self.scale_mul_1H11 is not None:
            scale = self.scale_mul_1H11.to(x.device, torch.float32).clamp_max(math.log(100)).exp()
            q = (F.normalize(q.float(), dim=-1) * scale).to(x.dtype)
            k = F.normalize(k.float(), dim=-1).to(x.dtype)
        return q, k, v

    def attend(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        mask: Tensor | None = None,
        weights: PositionWeights | None = None,
    ) -> Tensor:
        """Softmax attention and output projection, -> (rows, T, C)."""
        out = attend_many(q, k, v, mask, weights, self.scale, self.kernel)
        return self.proj(out.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention and feed-forward, each modulated by the condition (adaLN)."""

    def __init__(self, config: VARConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.attn = Attention(config, ops, **place)
        self.ffn = FeedForward(config, ops, **place)
        if config.shared_adaln:
            self.ada_gss = nn.Parameter(torch.empty(1, 1, 6, config.width, **place))
        else:
            self.ada_lin = nn.Sequential(
                nn.SiLU(), ops.Linear(config.width, 6 * config.width, **place)
            )

    def modulation(self, condition: Tensor, shared: Tensor | None) -> Tensor:
        """(rows, 1, 6, C) fp32, in the order gamma1, gamma2, scale1, scale2, shift1, shift2."""
        if shared is not None:
            return cast_like(self.ada_gss, shared) + shared
        return self.ada_lin(condition).float().unflatten(-1, (1, 6, -1))

    def forward(
        self, x: Tensor, modulation: Tensor, cache: LayerCache, dtype: torch.dtype
    ) -> Tensor:
        """x (rows, T, C), fp32: the residual stream keeps its precision whatever the weights' type."""
        gamma1, gamma2, scale1, scale2, shift1, shift2 = modulation.unbind(2)
        x = x + gamma1 * self._attend((plain_norm(x) * (1 + scale1) + shift1).to(dtype), cache)
        return x + gamma2 * self.ffn((plain_norm(x) * (1 + scale2) + shift2).to(dtype)).float()

    def _attend(self, x: Tensor, cache: LayerCache) -> Tensor:
        """(rows, T, C), fp32; queries, keys and values are gone before the feed-forward takes its memory."""
        q, k, v = self.attn.project(x)
        return self.attn.attend(q, *cache(k, v)).float()


class Head(nn.Module):
    """The condition's scale and shift for the last norm, in that order."""

    def __init__(self, config: Widths, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.ada_lin = nn.Sequential(nn.SiLU(), ops.Linear(config.width, 2 * config.width, **place))

    def forward(self, condition: Tensor) -> Tensor:
        return self.ada_lin(condition).float().unflatten(-1, (1, 2, -1))  # (rows, 1, 2, C)


@dataclass
class VARState(Weighable):
    """One run: what depends on the condition alone, computed once, and the cache."""

    first: Tensor  # (rows, T_0, C) input of scale 0
    positions: Tensor  # (1, L, C)
    modulations: list[Tensor]  # N x (rows, 1, 6, C)
    head: Tensor  # (rows, 1, 2, C)
    cache: KVCache


class VAR(Cached[VARConfig]):
    """The transformer. Implements the scale-wise protocol: `begin`, then `step` for k = 0..K-1."""

    lvl_1L: Tensor

    def build(self, operations: Operations, **place: Unpack[Place]) -> None:
        config = self.config
        width = config.width
        self.pos_start = nn.Parameter(torch.empty(1, config.sides[0] ** 2, width, **place))
        self.pos_1LC = nn.Parameter(torch.empty(1, config.length, width, **place))
        self.lvl_1L: Tensor
        self.register_buffer("lvl_1L", level_index(config.sides), persistent=True)
        self.word_embed = operations.Linear(config.dim, width, **place)
        self.build_condition(operations, **place)
        self.lvl_embed = operations.Embedding(len(config.sides), width, **place)
        if config.shared_adaln:
            self.shared_ada_lin = nn.Sequential(
                nn.SiLU(), operations.Linear(width, 6 * width, **place)
            )
        blocks = [Block(config, operations, **place) for _ in range(config.depth)]
        self.blocks: Sequence[Block] = nn.ModuleList(blocks)  # pyright: ignore[reportAttributeAccessIssue]
        self.head_nm = Head(config, operations, **place)
        self.head = operations.Linear(width, config.vocab, **place)

    # --- the condition: what a sibling with another kind of condition replaces --------------------------------------

    def build_condition(self, operations: Operations, **place: Unpack[Place]) -> None:
        """Make the layers of `condition`."""
        rows = self.config.classes + 1
        self.class_emb = operations.Embedding(rows, self.config.width, **place)

    def condition(self, given: Tensor) -> Tensor:
        """What the caller gives per image, class labels (rows,), as a vector (rows, C)."""
        return self.class_emb(given)

    # --- the scale-wise protocol -----------------------------------------------------------------------------------

    def null_condition(self, batch: int) -> Tensor:
        """Labels of the unconditional branch: the class after the last."""
        return torch.full((batch,), self.config.classes, dtype=torch.long)

    def begin(
        self, branches: Sequence[Tensor], device: torch.device, cache: type[KVCache] = KVCache
    ) -> VARState:
        """Start a run. `branches`: class labels (B,) of every branch; `device`: where to compute; `cache`: how keys and values are kept."""
        condition, positions = self._embed(torch.cat([branch.to(device) for branch in branches]))
        first = condition[:, None] + self.pos_start.to(device).float()
        kept = self.new_cache(cache, len(condition), device)
        modulations, head = self._modulate(condition)
        return VARState(first + positions[:, : first.shape[1]], positions, modulations, head, kept)

    def step(self, state: VARState, scale: int, maps: Tensor | None, rows: int) -> Tensor:
        """Raw logits (rows, T, V), fp32, of the first `rows` rows.

        `maps` (B, Z, h, w): the accumulated feature map at this grid; None at scale 0.
        """
        if maps is None:
            x = state.first[:rows]
        else:
            x = self._embed_maps(maps, state.positions, state.cache.filled, rows)
        for i, block in enumerate(self.blocks):
            x = block(
                x, state.modulations[i][:rows], LayerCache(state.cache, i), self.compute_dtype
            )
        state.cache.advance(x.shape[1])
        return self._logits(x, state.head[:rows])

    # --- the whole sequence at once, for training ------------------------------------------------------------------

    def forward(self, labels: Tensor, inputs: Tensor) -> Tensor:
        """Teacher-forced logits (B, L, V): labels (B,), inputs (B, L-1, Z) from `MultiScaleVQ.teacher_inputs`."""
        condition, positions = self._embed(labels)
        words = self.word_embed(inputs.to(self.compute_dtype)).float()
        first = condition[:, None] + self.pos_start.float()
        x = torch.cat([first, words], dim=1) + positions
        level = self.lvl_1L.to(x.device)
        mask = level[0, :, None] >= level[0, None, :]  # a scale sees itself and those before it
        modulations, head = self._modulate(condition)
        for i, block in enumerate(self.blocks):
            x = block(x, modulations[i], LayerCache(None, i, mask), self.compute_dtype)
        return self._logits(x, head)

    # --- pieces ----------------------------------------------------------------------------------------------------

    def _embed(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Condition (rows, C) and position + level embeddings (1, L, C), fp32."""
        condition = self.condition(labels).float()
        levels = self.lvl_embed(self.lvl_1L.to(labels.device)).float()
        return condition, levels + self.pos_1LC.to(labels.device).float()

    def _embed_maps(self, maps: Tensor, positions: Tensor, start: int, rows: int) -> Tensor:
        words = maps.flatten(2).transpose(1, 2).to(self.compute_dtype)  # (B, T, Z)
        x = self.word_embed(words).float() + positions[:, start : start + words.shape[1]]
        return x.repeat(rows // x.shape[0], 1, 1)

    def _modulate(self, condition: Tensor) -> tuple[list[Tensor], Tensor]:
        """Every block's modulation and the head's: they depend on the condition alone."""
        c = condition.to(self.compute_dtype)
        shared = None
        if self.config.shared_adaln:
            shared = self.shared_ada_lin(c).float().unflatten(-1, (1, 6, -1))
        blocks = [block.modulation(c, shared) for block in self.blocks]  # type: ignore[operator]
        return blocks, self.head_nm(c)

    def _logits(self, x: Tensor, head: Tensor) -> Tensor:
        scale, shift = head.unbind(2)
        x = (plain_norm(x) * (1 + scale) + shift).to(self.compute_dtype)
        return self.head(x).float()


class VARSizes(TypedDict):
    """Fields of a config that do not depend on the kind of condition."""

    depth: int
    width: int
    heads: int
    vocab: int
    dim: int
    sides: tuple[int, ...]
    ffn: int
    shared_adaln: bool
    qk_norm: bool


def sizes_from_file(facts: FileFacts) -> VARSizes:
    """Every size but that of the condition, from key names, shapes and the level buffer."""
    shapes = facts.shapes
    width, dim = shapes["word_embed.weight"]
    depth = len({key.split(".")[1] for key in shapes if key.startswith("blocks.")})
    scale_mul = shapes.get("blocks.0.attn.scale_mul_1H11")
    return {
        "depth": depth,
        "width": width,
        "heads": scale_mul[1] if scale_mul else depth,  # released rule where the file does not say
        "vocab": shapes["head.weight"][0],
        "dim": dim,
        "sides": sides_from_file(facts, shapes["pos_1LC"][1]),
        "ffn": shapes["blocks.0.ffn.fc1.weight"][0],
        "shared_adaln": "shared_ada_lin.1.weight" in shapes,
        "qk_norm": scale_mul is not None,
    }


def config_from_file(facts: FileFacts) -> VARConfig:
    """Everything the network needs to know."""
    return VARConfig(classes=facts.shapes["class_emb.weight"][0] - 1, **sizes_from_file(facts))


FAMILY = TransformerFamily(
    name="var",
    title="VAR",
    required=(
        "class_emb.weight",
        "word_embed.weight",
        "pos_1LC",
        "blocks.0.attn.mat_qkv.weight",
        "head_nm.ada_lin.1.weight",
        "head.weight",
        "lvl_embed.weight",
        "blocks.0.ffn.fc1.weight",
    ),
    banned=("cond_proj.", "noise.", "text_", "blocks.0.cross_attn."),
    config=config_from_file,
    build=VAR,
    ignored=r"attn_bias_for_masking",
    absent=r"lvl_1L|blocks\.\d+\.attn\.zero_k_bias",
    conditioning="class",
    kind="scale",
    tokenizer="multiscale_vq",
    tokenizer_file="vae_ch160v4096z32.pth",
    sizes=((256, 256), (512, 512)),
    smoothable=True,
    defaults=Defaults(scale=5.0, schedule="linear ramp", top_k=900, top_p=0.95),
)
