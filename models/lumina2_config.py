"""Sizes of Lumina-mGPT 2 and ids of its vocabulary, found in a file by `lumina2.config_from_file`."""

from dataclasses import dataclass

from .parts.causal import places
from .parts.grid import Grid

CELL = 4  # tokens per side of the 32 x 32 pixels that a size token counts


@dataclass(frozen=True)
class LuminaConfig:
    """Sizes of a network and ids of its vocabulary.

    Attributes:
        words: ids of the whole vocabulary.
        first, vocab: id of the first image token, and how many there are; only these are drawn.
        start, separator, line_end: ids of single tokens.
        sizes: ids of the size tokens, for 1, 2, ... cells.
        grid: (h, w) of the image in tokens.
        norms: m.
        context: positions the network was made for.
    """

    depth: int
    width: int
    heads: int
    kv_heads: int
    head_width: int
    ffn: int
    words: int
    first: int
    vocab: int
    start: int
    separator: int
    line_end: int
    sizes: tuple[int, ...]
    grid: Grid
    norms: int = 1
    context: int = 10240
    rope_base: float = 10000.0
    eps: float = 1e-5
    biases: bool = False
    tied: bool = False

    def __post_init__(self) -> None:
        if self.heads < 1:
            raise ValueError(f"it would have {self.heads} heads")
        for side in self.grid:
            if side % CELL or not 0 < side // CELL <= len(self.sizes):
                raise ValueError(
                    f"an image side of {side} tokens cannot be asked for: take a multiple of {CELL},"
                    f" at most {CELL * len(self.sizes)}"
                )
        if self.room < len(self.head):
            raise ValueError(
                f"an image of {self.grid[0]} x {self.grid[1]} tokens does not fit into {self.context} positions"
            )

    @property
    def length(self) -> int:
        """Image tokens."""
        return self.grid[0] * self.grid[1]

    @property
    def head(self) -> tuple[int, ...]:
        """What an image begins with: start, height, width."""
        height, width = (self.sizes[side // CELL - 1] for side in self.grid)
        return self.start, height, width

    @property
    def room(self) -> int:
        """Positions that the lines of the image and the end of the image leave."""
        return self.context - places(self.length, self.grid[1]) - 1

    @property
    def prefix(self) -> int:
        """Positions before the image without any text; see `LanguageNetwork.prefix_length`."""
        return len(self.head)

    @property
    def step_tokens(self) -> int:
        """Positions of the largest forward pass whose logits are computed."""
        return 1
