"""AliTok: class-conditional next-token prediction over aligned one-dimensional tokens (arXiv 2506.05289), released layout.

Letters as in `parts/causal.py`. The T tokens of an image are a line of 17 followed by a 16x16 grid in raster order.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from .family import Defaults, FileFacts, TransformerFamily
from .parts.attention import Sight
from .parts.causal import CausalNetwork, EvenSizes
from .parts.grid import Grid
from .parts.norms import RMSNorm
from .parts.operations import Operations, Place
from .parts.rope import grid_angles, line_angles, rope_table
from .parts.swiglu import LlamaSwiGLU


@dataclass(frozen=True)
class AliTokConfig(EvenSizes):
    """Sizes of a network; `line` and `grid`, the geometry of the tokens, are those of the release."""

    depth: int
    width: int
    heads: int
    vocab: int
    ffn: int
    classes: int
    line: int = 17
    grid: Grid = (16, 16)
    prefix: int = 1

    @property
    def length(self) -> int:
        """Image tokens."""
        return self.line + self.grid[0] * self.grid[1]


class Attention(nn.Module):
    """Self-attention with biases; queries and keys are normalised per head before they are rotated."""

    def __init__(self, config: AliTokConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = ops.Linear(config.width, 3 * config.width, **place)
        self.q_norm = RMSNorm(config.head_width, **place)
        self.k_norm = RMSNorm(config.head_width, **place)
        self.proj = ops.Linear(config.width, config.width, **place)

    def forward(self, x: Tensor, layer: int, sight: Sight) -> Tensor:
        """x (rows, T, D) -> (rows, T, D)."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = self.q_norm(q).to(x.dtype), self.k_norm(k).to(x.dtype)
        return self.proj(sight.attend(layer, q, k, v))


class Block(nn.Module):
    """Attention and feed-forward, each on the normalised stream."""

    def __init__(self, config: AliTokConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.norm1 = RMSNorm(config.width, **place)
        self.attn = Attention(config, ops, **place)
        self.norm2 = RMSNorm(config.width, **place)
        self.mlp = LlamaSwiGLU(config.width, config.ffn, ops, **place)

    def forward(self, x: Tensor, layer: int, sight: Sight, dtype: torch.dtype) -> Tensor:
        """x (rows, T, D) fp32."""
        x = x + self.attn(self.norm1(x).to(dtype), layer, sight).float()
        return x + self.mlp(self.norm2(x).to(dtype)).float()


class AliTok(CausalNetwork[AliTokConfig, Tensor]):
    """The transformer. Conditions: class labels (B,)."""

    def build(self, operations: Operations, **place: Unpack[Place]) -> None:
        config = self.config
        # Image tokens, one unused row, classes, "no class".
        rows = config.vocab + 1 + config.classes + 1
        self.embeddings = operations.Embedding(rows, config.width, **place)
        self.blocks = nn.ModuleList(Block(config, operations, **place) for _ in range(config.depth))
        self.norm = RMSNorm(config.width, **place)
        self.output = operations.Linear(config.width, config.vocab, **place)

    def null_condition(self, batch: int) -> Tensor:
        """Labels of the unconditional branch: the class after the last."""
        return torch.full((batch,), self.config.classes, dtype=torch.long)

    @property
    def fixed_prefix(self) -> int:
        return self.config.prefix

    # --- what `CausalNetwork` asks for -----------------------------------------------------------------------------

    def prefix(self, branches: Sequence[Tensor], device: torch.device) -> tuple[Tensor, None]:
        labels = torch.cat(list(branches)).to(device)
        return self.embeddings(self.config.vocab + 1 + labels)[:, None], None

    def embed(self, tokens: Tensor) -> Tensor:
        return self.embeddings(tokens)

    def rotations(self) -> Tensor:
        c = self.config
        pairs = c.head_width // 2
        line = line_angles(torch.arange(c.line), pairs)
        # The coordinates of the grid go on where the line ends.
        return rope_table(torch.cat((line, grid_angles(c.grid, pairs, start=c.line))), c.prefix)

    def trunk(self, x: Tensor, sight: Sight) -> Tensor:
        for i, block in enumerate(self.blocks):
            x = block(x, i, sight, self.compute_dtype)
        return x

    def head(self, x: Tensor) -> Tensor:
        return self.output(self.norm(x).to(self.compute_dtype))


def config_from_file(facts: FileFacts) -> AliTokConfig:
    """Sizes from shapes."""
    shapes = facts.shapes
    rows, width = shapes["embeddings.weight"]
    vocab = shapes["output.weight"][0]
    return AliTokConfig(
        depth=len({key.split(".")[1] for key in shapes if key.startswith("blocks.")}),
        width=width,
        heads=width // shapes["blocks.0.attn.q_norm.weight"][0],
        vocab=vocab,
        ffn=shapes["blocks.0.mlp.w1.weight"][0],
        classes=rows - vocab - 2,
    )


# Guidance the authors published for each size, by width: scale and power of the cosine ramp.
PUBLISHED = {768: (16.0, 1.8), 1024: (6.0, 0.7), 1280: (13.0, 1.4)}


def published_defaults(config: AliTokConfig) -> Defaults:
    """Sampling settings of the release of this width; the large model's for any other."""
    scale, power = PUBLISHED.get(config.width, PUBLISHED[1024])
    return Defaults(scale=scale, schedule="cosine power", top_k=0, top_p=1.0, power=power)


FAMILY = TransformerFamily(
    name="alitok",
    title="AliTok",
    required=(
        "embeddings.weight",
        "blocks.0.attn.q_norm.weight",
        "blocks.0.mlp.w1.weight",
        "output.weight",
        "output.bias",
    ),
    config=config_from_file,
    build=AliTok,
    kind="token",
    sizes=((256, 256),),
    conditioning="class",
    tokenizer="alitok_1d",
    tokenizer_file="AliTok.pth",
    defaults=published_defaults,
)
