"""Sizes of Infinity's network, recovered from a file elsewhere (`network.config_from_file`)."""

from dataclasses import dataclass

from ..parts.levels import Scales
from ..parts.sizes import check_heads
from .grids import Grid, template_for


@dataclass(frozen=True)
class InfinityConfig(Scales):
    """Sizes of a network, recovered from the file's keys and shapes; what leaves no trace has the release's value.

    Attributes:
        bits: D per token.
        text_dim, text_length: width of the text encoder's rows, and the most rows it may give.
        pool_heads: of the attention that pools the text.
        levels: rows of the level embedding.
        ratio, scales: height to width of the images, and how much of that ratio's list of scales they take.
        variant: which of the tokenizers of its bit width it was trained with, where a file beside it says so: d32 and d32reg
            have the same shapes, and nothing in the weights tells them apart.
        level_every_chunk: add the level embedding before every chunk of blocks, not only before the first.
    """

    chunks: tuple[int, ...]  # blocks per chunk
    width: int
    heads: int
    bits: int
    ffn: int
    text_dim: int
    text_length: int
    pool_heads: int
    levels: int = 15
    ratio: float = 1.0
    scales: int = 13
    variant: str = ""
    level_every_chunk: bool = False
    qk_norm: bool = True

    def __post_init__(self) -> None:
        check_heads(self.width, self.heads, multiple=4)
        check_heads(self.width, self.pool_heads)

    @property
    def depth(self) -> int:
        """Blocks of all chunks."""
        return sum(self.chunks)

    @property
    def vocab(self) -> int:
        """Logits per token."""
        return 2 * self.bits

    @property
    def grids(self) -> tuple[Grid, ...]:
        """(h, w) of every scale."""
        return template_for(self.ratio).grids[: self.scales]
