"""Layers of VQ-Diffusion's transformer (arXiv 2111.14822), released layout.

Letters: rows = branches x B, N positions of an H x W grid, C width, T steps.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from ..parts.operations import Operations, Place
from ..parts.plain_attention import Attending, attend_plainly
from .config import VQDiffusionConfig

EPS = 1e-5


def quick_gelu(x: Tensor) -> Tensor:
    """GELU2: x sigmoid(1.702 x)."""
    return x * torch.sigmoid(1.702 * x)


class AdaptiveNorm(nn.Module):
    """LayerNorm whose scale and shift are read from a table: of time steps, or of classes."""

    def __init__(self, entries: int, width: int, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.emb = ops.Embedding(entries, width, **place)
        self.linear = ops.Linear(width, 2 * width, **place)

    def numbers(self, index: Tensor) -> Tensor:
        """Scale and shift (n, 1, 2 C) of entries (n,)."""
        return self.linear(F.silu(self.emb(index)))[:, None]

    def numbers_or_mean(self, index: Tensor) -> Tensor:
        """`numbers`, where entries after the last stand for the mean of all."""
        entries = self.emb.num_embeddings
        known = index < entries
        rows = self.emb(index.clamp_max(entries - 1))
        if not known.all():
            mean = self.emb(torch.arange(entries, device=index.device)).mean(0)
            rows = torch.where(known[:, None], rows, mean)
        return self.linear(F.silu(rows))[:, None]

    def forward(self, x: Tensor, numbers: Tensor) -> Tensor:
        """x (rows, N, C); `numbers` (rows or 1, 1, 2 C)."""
        scale, shift = numbers.chunk(2, -1)
        return F.layer_norm(x, x.shape[-1:], eps=EPS) * (1 + scale) + shift


class Attention(Attending):
    """Every position sees all of them, or all of a text."""

    def __init__(
        self, width: int, source: int, heads: int, ops: Operations, **place: Unpack[Place]
    ) -> None:
        super().__init__()
        self.heads = heads
        self.query = ops.Linear(width, width, **place)
        self.key = ops.Linear(source, width, **place)
        self.value = ops.Linear(source, width, **place)
        self.proj = ops.Linear(width, width, **place)

    def pairs(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (rows, heads, n, d) of what is seen (rows, n, C)."""
        return self._split(self.key(source)), self._split(self.value(source))

    def forward(self, x: Tensor, pairs: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """x (rows, N, C); `pairs`: of a text, None = of x itself."""
        keys, values = self.pairs(x) if pairs is None else pairs
        out = attend_plainly(self._split(self.query(x)), keys, values, self.kernel)
        return self.proj(out.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class ConvolutionalMLP(nn.Module):
    """Two 3 x 3 convolutions over the grid, GELU2 between them."""

    def __init__(self, width: int, hidden: int, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.conv1 = ops.Conv2d(width, hidden, 3, padding=1, **place)
        self.conv2 = ops.Conv2d(hidden, width, 3, padding=1, **place)

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """x (rows, N, C)."""
        maps = x.transpose(1, 2).unflatten(2, grid)
        return self.conv2(quick_gelu(self.conv1(maps))).flatten(2).transpose(1, 2)


class GELU2(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return quick_gelu(x)


class ClassBlock(nn.Module):
    """Attention normed by the time step, convolutions normed by the class."""

    def __init__(self, config: VQDiffusionConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        width = config.width
        self.ln1 = AdaptiveNorm(config.steps, width, ops, **place)
        self.attn = Attention(width, width, config.heads, ops, **place)
        self.ln2 = AdaptiveNorm(config.entries, width, ops, **place)
        self.mlp = ConvolutionalMLP(width, config.ffn, ops, **place)

    def read(self, given: Tensor) -> Tensor:
        """What a run needs of its classes (rows,)."""
        return self.ln2.numbers_or_mean(given)

    def forward(self, x: Tensor, time: Tensor, read: Tensor, grid: tuple[int, int]) -> Tensor:
        """x (rows, N, C), `time` (1,), `read` of these rows."""
        x = x + self.attn(self.ln1(x, self.ln1.numbers(time)))
        return x + self.mlp(self.ln2(x, read), grid)


class TextBlock(nn.Module):
    """Self-attention and cross-attention normed by the time step, then a feed-forward layer."""

    def __init__(self, config: VQDiffusionConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        width = config.width
        self.ln1 = AdaptiveNorm(config.steps, width, ops, **place)
        self.attn1 = Attention(width, width, config.heads, ops, **place)
        self.ln1_1 = AdaptiveNorm(config.steps, width, ops, **place)
        self.attn2 = Attention(width, config.text_width, config.heads, ops, **place)
        self.ln2 = ops.LayerNorm(width, eps=EPS, **place)
        self.mlp = nn.Sequential(
            ops.Linear(width, config.ffn, **place), GELU2(), ops.Linear(config.ffn, width, **place)
        )

    def read(self, given: Tensor) -> tuple[Tensor, Tensor]:
        """What a run needs of its texts (rows, n, E)."""
        return self.attn2.pairs(given)

    def forward(
        self, x: Tensor, time: Tensor, read: tuple[Tensor, Tensor], grid: tuple[int, int]
    ) -> Tensor:
        """x (rows, N, C), `time` (1,), `read` of these rows."""
        x = x + self.attn1(self.ln1(x, self.ln1.numbers(time)))
        x = x + self.attn2(self.ln1_1(x, self.ln1_1.numbers(time)), read)
        return x + self.mlp(self.ln2(x))
