"""VQ-Diffusion's transformer (arXiv 2111.14822): from tokens, some of them masked, to a prediction of all of the image's.

Letters: B images, rows = branches x B, N positions, V tokens without the mask (number V), C width, T steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from ..parts.cache import KVCache
from ..parts.network import BranchedModule
from ..parts.operations import Operations, Place
from ..parts.text import TextCondition
from .blocks import EPS, ClassBlock, TextBlock
from .config import VQDiffusionConfig
from .transitions import Transitions

BUFFERS = {
    "log_at": "at",
    "log_bt": "bt",
    "log_ct": "ct",
    "log_cumprod_at": "kept",
    "log_cumprod_bt": "other",
    "log_cumprod_ct": "masked",
    "log_1_min_cumprod_ct": "unmasked",
}


Read: TypeAlias = Tensor | tuple[Tensor, ...]
"""What a block has read of a condition: classes as they are, or keys and values of a text."""


@dataclass
class DiscreteState:
    """One run: what every block has read of the conditions, and the table of places (N, C)."""

    read: list[Read]
    places: Tensor

    def rows(self, block: int, count: int) -> Read:
        """What a block has read for the first `count` rows."""
        read = self.read[block]
        return read[:count] if isinstance(read, Tensor) else tuple(part[:count] for part in read)


class ContentEmbedding(nn.Module):
    """Token, plus row, plus column of a table that may be larger than the image."""

    def __init__(self, config: VQDiffusionConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.emb = ops.Embedding(config.vocab + 1, config.width, **place)
        self.height_emb = ops.Embedding(config.table[0], config.width, **place)
        self.width_emb = ops.Embedding(config.table[1], config.width, **place)

    def places(self, count: int, device: torch.device) -> Tensor:
        """(N, C): position n has row n // W and column n % W *of the table*, as the network was trained."""
        height, width = (torch.arange(side, device=device) for side in self.sides)
        table = self.height_emb(height)[:, None] + self.width_emb(width)
        return table.flatten(0, 1)[:count]

    @property
    def sides(self) -> tuple[int, int]:
        return self.height_emb.num_embeddings, self.width_emb.num_embeddings


class Trunk(nn.Module):
    """Everything under the key `transformer`."""

    def __init__(self, config: VQDiffusionConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        block = TextBlock if config.text_width else ClassBlock
        self.content_emb = ContentEmbedding(config, ops, **place)
        self.blocks = nn.ModuleList(block(config, ops, **place) for _ in range(config.depth))
        self.to_logits = nn.Sequential(
            ops.LayerNorm(config.width, eps=EPS, **place),
            ops.Linear(config.width, config.vocab, **place),
        )


class VQDiffusion(BranchedModule[VQDiffusionConfig]):
    """The transformer and its diffusion. Conditions: classes (B,), or a `TextCondition`."""

    def build(self, operations: Operations, **place: Unpack[Place]) -> None:
        config = self.config
        self.transformer = Trunk(config, operations, **place)
        for name in BUFFERS:
            length = config.steps + ("cumprod" in name)
            self.register_buffer(
                name, torch.empty(length, dtype=torch.float32, device=place.get("device"))
            )
        if config.learned_null and config.text_width:
            shape = config.text_rows, config.text_width
            self.empty_text_embed = nn.Parameter(torch.empty(shape, **place))

    def null_condition(self, batch: int) -> Tensor | TextCondition:
        """The unconditional branch's condition: "no class", or the learned text."""
        if not self.config.text_width:
            return torch.full((batch,), self.config.classes)
        text = self.empty_text_embed.detach().float().cpu()
        return TextCondition(text.expand(batch, -1, -1), None)

    def transitions(self, device: torch.device) -> Transitions:
        """The diffusion as the file states it."""
        return Transitions(
            **{name: getattr(self, key).to(device).float() for key, name in BUFFERS.items()}
        )

    def cache_bytes(self, rows: int, *, cache: type[KVCache] = KVCache) -> int:
        """Memory of what a run keeps of its conditions; of the image it keeps nothing, in no kind of `cache`."""
        c = self.config
        return rows * c.depth * 2 * c.width * max(c.text_rows, 1) * self.compute_dtype.itemsize

    def begin(
        self,
        branches: Sequence[Tensor | TextCondition],
        device: torch.device,
        cache: type[KVCache] = KVCache,
    ) -> DiscreteState:
        """Read the conditions of all branches; `cache` is not used, see `cache_bytes`."""
        trunk = self.transformer
        given = torch.cat([self._given(branch).to(device) for branch in branches])
        places = trunk.content_emb.places(self.config.length, device)
        read = [block.read(given) for block in trunk.blocks]  # pyright: ignore[reportCallIssue]
        return DiscreteState(read, places)

    def _given(self, branch: Tensor | TextCondition) -> Tensor:
        features = branch.features if isinstance(branch, TextCondition) else branch
        return features.to(self.compute_dtype) if features.is_floating_point() else features

    def step(self, state: DiscreteState, t: int, tokens: Tensor, rows: int) -> Tensor:
        """Logits (rows, N, V), fp32, of the image's tokens from those after step t (B, N)."""
        trunk, grid = self.transformer, self.config.grid
        x = trunk.content_emb.emb(tokens) + state.places
        x = x.repeat(rows // len(tokens), 1, 1)
        time = torch.full((1,), t, device=tokens.device)
        for i, block in enumerate(trunk.blocks):
            x = block(x, time, state.rows(i, rows), grid)
        return trunk.to_logits(x).float()
