"""CLIP's text tower in OpenAI's layout (arXiv 2103.00020), with a choice of activation.

Letters: B prompts, n ids of a prompt, C width, H heads, E width of the projected vector.

VAR-CLIP was trained on features of ViT-L/14 computed with exact GELU, although OpenAI trained that tower with QuickGELU;
a host's CLIP-L uses QuickGELU, so its vectors are slightly off for that family.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from ..parts.cast import cast_like
from ..parts.operations import Operations, Place


@dataclass(frozen=True)
class ClipTextConfig:
    """Sizes of a tower; the number of heads leaves no trace in the weights (released rule: 64 channels each).

    Attributes:
        dim: E, or 0 for a tower without a projection.
        quick: QuickGELU instead of exact GELU.
    """

    vocab: int
    length: int
    width: int
    layers: int
    heads: int
    dim: int
    quick: bool = False

    @classmethod
    def of(cls, shapes: Mapping[str, tuple[int, ...]], heads: int = 0) -> "ClipTextConfig":
        """Sizes from key names and shapes."""
        vocab, width = shapes["token_embedding.weight"]
        layers = {key.split(".")[2] for key in shapes if key.startswith("transformer.resblocks.")}
        return cls(
            vocab=vocab,
            length=shapes["positional_embedding"][0],
            width=width,
            layers=len(layers),
            heads=heads or max(width // 64, 1),
            dim=shapes.get("text_projection", (0, 0))[1],
        )


class Attention(nn.Module):
    """Causal self-attention."""

    def __init__(self, config: ClipTextConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.heads = config.heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * config.width, config.width, **place))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * config.width, **place))
        self.out_proj = ops.Linear(config.width, config.width, **place)

    def forward(self, x: Tensor) -> Tensor:
        qkv = F.linear(x, cast_like(self.in_proj_weight, x), cast_like(self.in_proj_bias, x))
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (B, H, n, d)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out_proj(out.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Linear, GELU (exact) or QuickGELU x sigmoid(1.702 x), linear."""

    def __init__(self, config: ClipTextConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.quick = config.quick
        self.c_fc = ops.Linear(config.width, 4 * config.width, **place)
        self.c_proj = ops.Linear(4 * config.width, config.width, **place)

    def forward(self, x: Tensor) -> Tensor:
        x = self.c_fc(x)
        return self.c_proj(x * torch.sigmoid(1.702 * x) if self.quick else F.gelu(x))


class Block(nn.Module):
    """Pre-norm attention and feed-forward."""

    def __init__(self, config: ClipTextConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.ln_1 = ops.LayerNorm(config.width, **place)
        self.attn = Attention(config, ops, **place)
        self.ln_2 = ops.LayerNorm(config.width, **place)
        self.mlp = FeedForward(config, ops, **place)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Blocks(nn.Module):
    """The stack under the key `transformer`."""

    def __init__(self, config: ClipTextConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(config, ops, **place) for _ in range(config.layers))


class ClipText(nn.Module):
    """Ids -> one vector per prompt."""

    def __init__(
        self,
        config: ClipTextConfig,
        operations: Operations = nn,
        dtype: torch.dtype | None = None,
        device: torch.device | None = None,
    ) -> None:
        super().__init__()
        place: Place = {"dtype": dtype, "device": device}
        width = config.width
        self.token_embedding = operations.Embedding(config.vocab, width, **place)
        self.positional_embedding = nn.Parameter(torch.empty(config.length, width, **place))
        self.transformer = Blocks(config, operations, **place)
        self.ln_final = operations.LayerNorm(width, **place)
        self.text_projection = (
            nn.Parameter(torch.empty(width, config.dim, **place)) if config.dim else None
        )

    def states(self, ids: Tensor) -> Tensor:
        """Ids (B, n) -> states of the last layer after its norm (B, n, C), fp32 unless the weights are wider."""
        x = self.token_embedding(ids)
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        x = x + cast_like(self.positional_embedding, x)[: ids.shape[1]]
        for block in self.transformer.resblocks:
            x = block(x)
        return self.ln_final(x)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids (B, n) -> projected state at the end token (B, E), not normalised.

        The end token has the largest id; padding behind it is out of sight of a causal tower.
        """
        end = at_end(self.states(ids), ids)
        assert self.text_projection is not None, "this tower was built without a projection"
        return end @ cast_like(self.text_projection, end)


def at_end(states: Tensor, ids: Tensor) -> Tensor:
    """The state (B, C) at the end token, the first one with the largest id."""
    return states[torch.arange(len(ids), device=ids.device), ids.argmax(-1)]


def unit_rows(states: Tensor) -> Tensor:
    """States (B, n, C), each divided by its length: what VQ-Diffusion reads of a prompt, padding included."""
    return states / states.norm(dim=-1, keepdim=True)
