"""LlamaGen: next-token prediction on a square grid, from a class or a caption (arXiv 2406.06525), released layout.

Letters as in `parts/causal.py`. The class is one prefix position, the caption 120; rope has no rotation for either (`parts/rope.py`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from .family import Defaults, FileFacts, TextSpec, TransformerFamily
from .parts.attention import Sight
from .parts.cast import cast_like
from .parts.causal import CausalNetwork, EvenSizes
from .parts.grid import Grid
from .parts.norms import RMSNorm
from .parts.operations import Operations, Place
from .parts.rope import grid_angles, rope_table
from .parts.settings import whole
from .parts.swiglu import LlamaSwiGLU
from .parts.text import Caption, TextCondition, left_pad
from .text.encoders import FLAN_T5


@dataclass(frozen=True)
class LlamaGenConfig(EvenSizes):
    """Sizes of a network. `heads` and `grid` are not in the released files: see `head_count` and `default_side`."""

    depth: int
    width: int
    heads: int
    vocab: int
    ffn: int
    grid: Grid
    classes: int = 0  # class-conditional
    caption_width: int = 0  # text-conditional
    prefix: int = 1

    @property
    def length(self) -> int:
        """Image tokens."""
        return self.grid[0] * self.grid[1]


class Attention(nn.Module):
    """Self-attention, no biases; one matrix for queries, keys and values."""

    def __init__(self, config: LlamaGenConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.heads = config.heads
        self.wqkv = ops.Linear(config.width, 3 * config.width, bias=False, **place)
        self.wo = ops.Linear(config.width, config.width, bias=False, **place)

    def forward(self, x: Tensor, layer: int, sight: Sight) -> Tensor:
        """x (rows, T, D) -> (rows, T, D)."""
        q, k, v = self.wqkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.wo(sight.attend(layer, q, k, v))


class Block(nn.Module):
    """Attention and feed-forward, each on the normalised stream."""

    def __init__(self, config: LlamaGenConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.attention = Attention(config, ops, **place)
        self.feed_forward = LlamaSwiGLU(config.width, config.ffn, ops, **place)
        self.attention_norm = RMSNorm(config.width, **place)
        self.ffn_norm = RMSNorm(config.width, **place)

    def forward(self, x: Tensor, layer: int, sight: Sight, dtype: torch.dtype) -> Tensor:
        """x (rows, T, D) fp32."""
        x = x + self.attention(self.attention_norm(x).to(dtype), layer, sight).float()
        return x + self.feed_forward(self.ffn_norm(x).to(dtype)).float()


class ClassEmbedder(nn.Module):
    """One row per class, the last for "no class"."""

    def __init__(self, config: LlamaGenConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.embedding_table = ops.Embedding(config.classes + 1, config.width, **place)


class CaptionProjection(nn.Module):
    """Linear, GELU (tanh approximation), linear; no biases."""

    def __init__(self, config: LlamaGenConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.fc1 = ops.Linear(config.caption_width, config.width, bias=False, **place)
        self.fc2 = ops.Linear(config.width, config.width, bias=False, **place)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class CaptionEmbedder(nn.Module):
    """Text features into the network's width, and the empty caption's features."""

    uncond_embedding: Tensor

    def __init__(self, config: LlamaGenConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.cap_proj = CaptionProjection(config, ops, **place)
        empty = torch.empty(config.prefix, config.caption_width, **place)
        self.register_buffer("uncond_embedding", empty)


class LlamaGen(CausalNetwork[LlamaGenConfig, Tensor | Caption]):
    """The transformer. Conditions: class labels (B,), or a `Caption`."""

    def build(self, operations: Operations, **place: Unpack[Place]) -> None:
        config = self.config
        self.tok_embeddings = operations.Embedding(config.vocab, config.width, **place)
        embedder = ClassEmbedder if config.classes else CaptionEmbedder
        self.cls_embedding = embedder(config, operations, **place)
        self.layers = nn.ModuleList(Block(config, operations, **place) for _ in range(config.depth))
        self.norm = RMSNorm(config.width, **place)
        self.output = operations.Linear(config.width, config.vocab, bias=False, **place)

    def null_condition(self, batch: int) -> Tensor | Caption:
        """The unconditional branch's condition."""
        if self.config.classes:
            return torch.full((batch,), self.config.classes, dtype=torch.long)
        return Caption()

    @property
    def fixed_prefix(self) -> int:
        return self.config.prefix

    # --- what `CausalNetwork` asks for -----------------------------------------------------------------------------

    def prefix(
        self, branches: Sequence[Tensor | Caption], device: torch.device
    ) -> tuple[Tensor, Tensor | None]:
        embedder = self.cls_embedding
        if isinstance(embedder, ClassEmbedder):
            labels = torch.cat([b for b in branches if isinstance(b, Tensor)]).to(device)
            return embedder.embedding_table(labels)[:, None], None
        captions = [b for b in branches if isinstance(b, Caption)]
        first = captions[0].mask
        assert first is not None, "the first branch is a real caption"
        masks = [first if caption.mask is None else caption.mask for caption in captions]
        empty = cast_like(
            embedder.uncond_embedding, torch.empty(0, dtype=self.compute_dtype, device=device)
        )
        features = [
            empty.expand(len(first), -1, -1)
            if caption.features is None
            else caption.features.to(device, self.compute_dtype)
            for caption in captions
        ]
        return embedder.cap_proj(torch.cat(features)), torch.cat(masks).to(device) == 0

    def embed(self, tokens: Tensor) -> Tensor:
        return self.tok_embeddings(tokens)

    def rotations(self) -> Tensor:
        return rope_table(
            grid_angles(self.config.grid, self.config.head_width // 2), self.config.prefix
        )

    def trunk(self, x: Tensor, sight: Sight) -> Tensor:
        for i, layer in enumerate(self.layers):
            x = layer(x, i, sight, self.compute_dtype)
        return x

    def head(self, x: Tensor) -> Tensor:
        return self.output(self.norm(x).to(self.compute_dtype))


def head_count(width: int) -> int:
    """Heads of a release, by its width: 64 numbers a head, but the 3B and 7B sizes have 32 heads."""
    if width in (3200, 4096):
        return 32
    possible = (n for n in range(max(1, width // 64), 0, -1) if width % (4 * n) == 0)
    return next(possible, 1)


def default_side(width: int, prefix: int) -> int:
    """Side of the token grid a release of this width was most likely trained for.

    The file does not say; B and L exist for 16 and 24, the wider class models only for 24, text stage 1 is 16.
    """
    return 24 if prefix == 1 and width > 1024 else 16


def config_from_file(facts: FileFacts) -> LlamaGenConfig:
    """Sizes from shapes; heads and grid from the metadata of our own files, else by the rules of the releases."""
    shapes = facts.shapes
    vocab, width = shapes["tok_embeddings.weight"]
    prefix = shapes.get("cls_embedding.uncond_embedding", (1,))[0]
    side = whole(facts.metadata, "side", default_side(width, prefix), 1, 1024)
    if "freqs_cis" in shapes:
        side = math.isqrt(shapes["freqs_cis"][0] - prefix)
    return LlamaGenConfig(
        depth=len({key.split(".")[1] for key in shapes if key.startswith("layers.")}),
        width=width,
        heads=whole(facts.metadata, "heads", head_count(width), 1, width),
        vocab=vocab,
        ffn=shapes["layers.0.feed_forward.w1.weight"][0],
        grid=(side, side),
        classes=shapes.get("cls_embedding.embedding_table.weight", (1,))[0] - 1,
        caption_width=shapes.get("cls_embedding.cap_proj.fc1.weight", (0, 0))[1],
        prefix=prefix,
    )


SIZES = ((256, 256), (384, 384), (512, 512))
SIDES = (16, 24, 32)  # of these images in tokens: every release has 16 pixels a token


def frames(config: LlamaGenConfig) -> tuple[Grid, ...]:
    """The network's own grid, and those of the released sizes: a file does not say which it was trained for."""
    return (config.grid, *((side, side) for side in SIDES))


def at(config: LlamaGenConfig, frame: Grid) -> LlamaGenConfig:
    """The config for images of these tokens."""
    return replace(config, grid=frame)


_COMMON = ("tok_embeddings.weight", "layers.0.attention.wqkv.weight", "output.weight")

FAMILY_CLASS = TransformerFamily(
    name="llamagen",
    title="LlamaGen",
    required=(
        *_COMMON,
        "layers.0.feed_forward.w1.weight",
        "cls_embedding.embedding_table.weight",
    ),
    config=config_from_file,
    build=LlamaGen,
    ignored=r"freqs_cis",
    kind="token",
    conditioning="class",
    tokenizer="vq16",
    tokenizer_file="vq_ds16_c2i.pt",
    free_size=True,
    sizes=SIZES,
    frames=frames,
    at=at,
    defaults=Defaults(scale=4.0, schedule="constant", top_k=2000, top_p=1.0),
)


def caption_from(config: LlamaGenConfig, text: TextCondition) -> Caption:
    """Text padded to the prefix the network was trained with, then moved to its right end."""
    assert text.live is not None
    missing = config.prefix - text.features.shape[1]
    return left_pad(F.pad(text.features, (0, 0, 0, missing)), F.pad(text.live, (0, missing)).long())


FAMILY_TEXT = TransformerFamily(
    name="llamagen_text",
    title="LlamaGen text-to-image",
    required=(
        *_COMMON,
        "layers.0.feed_forward.w1.weight",
        "cls_embedding.cap_proj.fc1.weight",
        "cls_embedding.uncond_embedding",
    ),
    config=config_from_file,
    build=LlamaGen,
    ignored=r"freqs_cis",
    kind="token",
    conditioning="text",
    text=TextSpec(
        FLAN_T5,
        width=lambda config: config.caption_width,
        tokens=lambda config: config.prefix,
        condition=caption_from,
    ),
    tokenizer="vq16",
    tokenizer_file="vq_ds16_t2i.pt",
    free_size=True,
    sizes=SIZES,
    frames=frames,
    at=at,
    defaults=Defaults(scale=7.5, schedule="constant", top_k=1000, top_p=1.0),
)
