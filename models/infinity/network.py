"""Infinity: bitwise next-scale prediction from text (arXiv 2412.04431), layout of the released checkpoints.

Letters: B images, R branches (rows = R*B, branch by branch), N blocks, C width, H heads, d head width, K scales,
T tokens of a scale, L tokens of all scales, D bits per token, n text rows, E text width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from ..family import Defaults, FileFacts, TextSpec, TransformerFamily
from ..parts.cache import KVCache, Weighable
from ..parts.network import Cached
from ..parts.norms import RMSNorm, plain_norm
from ..parts.operations import Operations, Place
from ..parts.rope import turns
from ..parts.text import TextCondition, stack_branches
from ..text.encoders import FLAN_T5
from ..tokenizers.bsq import BitwiseConfig
from ..var import Head
from .blocks import Block, Pool, grid_angles, grid_positions
from .config import InfinityConfig
from .grids import BUDGETS, RELEASED, Grid, frames, place_of, sizes, template_for

MARKS = ("pn", "variant", "add_lvl_embeding_only_first_block")  # entries of its settings alone


@dataclass
class InfinityState(Weighable):
    """One run: what depends on the condition alone, computed once, and the cache."""

    first: Tensor  # (rows, 1, C) input of scale 0
    texts: list[tuple[Tensor, Tensor]]  # N x keys and values (rows, H, n, d)
    live: Tensor  # (rows, 1, 1, n)
    shared: Tensor  # (rows, 1, 6, C)
    head: Tensor  # (rows, 1, 2, C)
    turns: list[Tensor]  # K x (T, d/2, 2)
    cache: KVCache
    mixes: Sequence[Mapping[int, float]] = field(default_factory=list)


class Infinity(Cached[InfinityConfig]):
    """The transformer. Implements the scale-wise protocol; a branch's condition is a `TextCondition`."""

    def build(self, operations: Operations, **place: Unpack[Place]) -> None:
        config = self.config
        width, text = config.width, config.text_dim
        self.cfg_uncond = nn.Parameter(torch.empty(config.text_length, text, **place))
        self.pos_start = nn.Parameter(torch.empty(1, 1, width, **place))
        self.text_norm = RMSNorm(text, 1e-6, **place)
        self.text_proj_for_sos = Pool(width, text, config.pool_heads, operations, **place)
        self.text_proj_for_ca = nn.Sequential(
            operations.Linear(text, width, **place),
            nn.GELU(approximate="tanh"),
            operations.Linear(width, width, **place),
        )
        self.lvl_embed = operations.Embedding(config.levels, width, **place)
        self.word_embed = operations.Linear(config.bits, width, **place)
        self.shared_ada_lin = nn.Sequential(nn.SiLU(), operations.Linear(width, 6 * width, **place))
        self.block_chunks = nn.ModuleList(
            nn.ModuleList(Block(config, operations, **place) for _ in range(count))
            for count in config.chunks
        )
        self.head_nm = Head(config, operations, **place)
        self.head = operations.Linear(width, config.vocab, **place)

    # --- the scale-wise protocol -----------------------------------------------------------------------------------

    def null_condition(self, batch: int) -> TextCondition:
        """The learned "no prompt": of its rows, as many as the image's own prompt has."""
        return TextCondition(self.cfg_uncond.detach().float().expand(batch, -1, -1), live=None)

    @property
    def text_positions(self) -> int:
        return self.config.text_length

    def begin(
        self,
        branches: Sequence[TextCondition],
        device: torch.device,
        cache: type[KVCache] = KVCache,
    ) -> InfinityState:
        """Start a run; `device`: where to compute; `cache`: how keys and values are kept."""
        text = stack_branches(branches, device)
        assert text.live is not None
        live, dtype = text.live[:, None, None], self.compute_dtype
        rows = self.text_norm(text.features).to(dtype)
        condition = self.text_proj_for_sos(rows, live)  # (rows, C)
        memory = self.text_proj_for_ca(rows)  # (rows, n, C)
        return InfinityState(
            first=condition.float()[:, None] + self.pos_start.to(device).float(),
            texts=[block.ca.text(memory) for block in self.blocks()],
            live=live,
            shared=self.shared_ada_lin(condition).float().unflatten(-1, (1, 6, -1)),
            head=self.head_nm(condition),
            turns=self._turns(device),
            cache=self.new_cache(cache, len(condition), device),
        )

    def mix_branches(self, state: InfinityState, mixes: Sequence[Mapping[int, float]]) -> None:
        """Mix the branches behind blocks: per step, block -> gamma."""
        state.mixes = mixes

    def step(self, state: InfinityState, scale: int, maps: Tensor | None, rows: int) -> Tensor:
        """Raw logits (rows, T, D, 2), fp32, of the first `rows` rows.

        `maps` (B, D, h, w): the accumulated feature map at this grid; None at scale 0.
        """
        if maps is None:
            x = state.first[:rows]
        else:
            words = maps.flatten(2).transpose(1, 2).to(self.compute_dtype)  # (B, T, D)
            x = self.word_embed(words).float()
            x = x.repeat(rows // x.shape[0], 1, 1)
        level = self.lvl_embed(torch.tensor([scale], device=x.device)).float()
        layer = 0
        for i, count in enumerate(self.config.chunks):
            if i == 0 or self.config.level_every_chunk:
                x = x + level
            for _ in range(count):
                x = self._block(x, layer, scale, state)
                layer += 1
        state.cache.advance(x.shape[1])
        gain, shift = state.head[:rows].unbind(2)
        logits = self.head((plain_norm(x) * (1 + gain) + shift).to(self.compute_dtype)).float()
        return logits.unflatten(-1, (-1, 2))

    def blocks(self) -> list[Block]:
        """All blocks in order."""
        return [block for chunk in self.block_chunks for block in chunk]  # pyright: ignore

    # --- pieces ----------------------------------------------------------------------------------------------------

    def _block(self, x: Tensor, layer: int, scale: int, state: InfinityState) -> Tensor:
        rows = x.shape[0]
        keys, values = state.texts[layer]
        x = self.blocks()[layer](
            x,
            state.shared[:rows],
            (keys[:rows], values[:rows], state.live[:rows]),
            state.turns[scale],
            (state.cache, layer),
            self.compute_dtype,
        )
        gamma = state.mixes[scale].get(layer) if state.mixes else None
        if gamma is None:
            return x
        cond, uncond = x.chunk(2)
        return (uncond + gamma * (cond - uncond)).repeat(2, 1, 1)

    def _turns(self, device: torch.device) -> list[Tensor]:
        c = self.config
        # Positions refer to the largest grid of the ratio, also where an image takes only the beginning of its list.
        width, whole = c.width // c.heads, template_for(c.ratio).grids[-1]
        return [turns(grid_angles(width, *grid_positions(grid, whole, device))) for grid in c.grids]


def plain_layout(key: str, tensor: Tensor) -> tuple[str, Tensor]:
    """Variants of the layout: a wrapper module around chunks, no chunks at all, another shape of the log scale."""
    if key.startswith("blocks."):
        key = f"block_chunks.0.{key.removeprefix('blocks.')}"
    if key.startswith("block_chunks."):
        key = key.replace(".module.", ".", 1)
    if key.endswith("scale_mul_1H11"):
        tensor = tensor.reshape(1, -1, 1, 1)
    return key, tensor


def config_from_file(facts: FileFacts) -> InfinityConfig:
    """Sizes from shapes; the pixel budget from the size (125M: 256 pixels) or its own config.json beside the file."""
    shapes = facts.shapes
    width, bits = shapes["word_embed.weight"]
    if shapes["head.weight"][0] != 2 * bits:
        raise ValueError(
            f"its head has {shapes['head.weight'][0]} outputs for {bits} bits: only bitwise heads are supported"
        )
    places = {tuple(key.split(".")[1:3]) for key in shapes if key.startswith("block_chunks.")}
    settings = facts.own_settings({"depth": len(places), "embed_dim": width}, MARKS, "infinity")
    budget = str(settings.get("pn", "0.06M" if width <= 768 else "1M"))
    if budget not in BUDGETS:
        raise ValueError(f"pixel budget {budget} is none of {', '.join(BUDGETS)}")
    chunks = sorted({int(chunk) for chunk, _ in places})
    first = "block_chunks.0.0."
    return InfinityConfig(
        chunks=tuple(sum(int(chunk) == i for chunk, _ in places) for i in chunks),
        width=width,
        heads=shapes[f"{first}sa.scale_mul_1H11"][1],
        bits=bits,
        ffn=shapes[f"{first}ffn.fc1.weight"][0],
        text_dim=shapes["text_norm.weight"][0],
        text_length=shapes["cfg_uncond"][0],
        pool_heads=shapes["text_proj_for_sos.ca.mat_q"][1],
        levels=shapes["lvl_embed.weight"][0],
        scales=BUDGETS[budget],
        variant=facts.metadata.get("variant") or str(settings.get("variant", "")),
        level_every_chunk=not settings.get("add_lvl_embeding_only_first_block", 1),
    )


def fit(config: InfinityConfig, tokenizer: BitwiseConfig) -> BitwiseConfig:
    """The tokenizer with the patch of codes one token of this transformer stands for."""
    if config.variant and tokenizer.variant and config.variant != tokenizer.variant:
        raise ValueError(
            f"the transformer says that it goes with tokenizer {config.variant}, the tokenizer that it is"
            f" {tokenizer.variant}"
        )
    for patch in (1, 2):
        if config.bits == tokenizer.dim * patch**2:
            return replace(tokenizer, patch=patch)
    raise ValueError(
        f"the transformer predicts {config.bits} bits per token, the tokenizer has {tokenizer.dim} per code"
        " (they must be equal, or one to four)"
    )


def at(config: InfinityConfig, frame: Grid) -> InfinityConfig:
    """The config for images of these tokens."""
    ratio, scales = place_of(frame)
    return replace(config, ratio=ratio, scales=scales)


FAMILY = TransformerFamily(
    name="infinity",
    title="Infinity",
    required=(
        "text_proj_for_sos.ca.mat_q",
        "block_chunks.0.0.ada_gss",
        "block_chunks.0.0.sa.scale_mul_1H11",
        "block_chunks.0.0.ffn.fc1.weight",
        "head_nm.ada_lin.1.weight",
        "lvl_embed.weight",
        "word_embed.weight",
        "head.weight",
        "cfg_uncond",
        "text_norm.weight",
    ),
    config=config_from_file,
    build=Infinity,
    convert=plain_layout,
    ignored=r"lvl_1L|attn_bias_for_masking|Infinity_visible_kvlen|Infinity_invisible_qlen",
    absent=r".*\.zero_k_bias",
    conditioning="text",
    text=TextSpec(
        FLAN_T5,
        width=lambda config: config.text_dim,
        tokens=lambda config: config.text_length,
    ),
    kind="scale",
    tokenizer="bsq",
    fit=fit,
    bitwise=True,
    sizes=tuple(size for budget in RELEASED for size in sizes(budget)),
    frames=lambda config: (config.grid, *frames()),
    at=at,
    mixable=lambda config: config.depth,
    dtypes=(torch.bfloat16, torch.float16, torch.float32),  # released scripts run in bfloat16
    # The shell script of the 2B; both 8B demos have temperature 1 and scale 3.
    defaults=lambda config: Defaults(
        scale=4.0 if config.bits != 56 else 3.0,
        schedule="constant",
        top_k=900,
        top_p=0.97,
        temperature=0.5 if config.bits != 56 else 1.0,
    ),
)
