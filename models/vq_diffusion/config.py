"""Sizes of a VQ-Diffusion network, read from its file."""

from dataclasses import dataclass
from math import isqrt

from ..family import FileFacts
from ..parts.grid import Grid
from ..parts.settings import whole
from ..parts.sizes import check_heads

HEADS = 16  # of every release
CLASSES = 1000  # of the release; the entry behind them, where there is one, is "no class"
_BLOCK = "transformer.blocks.0."


@dataclass(frozen=True)
class VQDiffusionConfig:
    """Sizes of a network. `heads`, and of class models `grid`, are not in the released files.

    Attributes:
        vocab: V, without the mask.
        steps: T.
        table: sides of the table of places, which may be larger than the grid.
        entries: rows of the class table; 0 = no classes.
        text_width: channels of the text's features; 0 = no text.
        text_rows: features of a prompt.
        learned_null: "no class" or "no text" has been learnt; else it is the mean of all classes, or an empty prompt.
    """

    depth: int
    width: int
    heads: int
    ffn: int
    vocab: int
    steps: int
    grid: Grid
    table: Grid
    entries: int = 0
    text_width: int = 0
    text_rows: int = 0
    learned_null: bool = False

    def __post_init__(self) -> None:
        check_heads(self.width, self.heads)
        if self.grid[0] != self.grid[1]:
            raise ValueError("this network makes square images only")
        if self.length > self.table[0] * self.table[1]:
            raise ValueError(
                f"it knows {self.table[0] * self.table[1]} places, and such an image has {self.length}"
            )

    @property
    def length(self) -> int:
        """N."""
        return self.grid[0] * self.grid[1]

    @property
    def step_tokens(self) -> int:
        """Positions of a forward pass."""
        return self.length

    @property
    def grids(self) -> tuple[Grid, ...]:
        """The grid of every step: the same one."""
        return (self.grid,) * self.steps

    @property
    def classes(self) -> int:
        """Classes an image may have; this number itself is "no class"."""
        return min(self.entries, CLASSES)


def config_from_file(facts: FileFacts) -> VQDiffusionConfig:
    """Sizes from shapes; heads and grid from settings beside the file, else as released."""
    shapes = facts.shapes
    vocab, width = shapes["transformer.to_logits.1.weight"]
    depth = len({key.split(".")[2] for key in shapes if key.startswith("transformer.blocks.")})
    table = tuple(shapes[f"transformer.content_emb.{s}_emb.weight"][0] for s in ("height", "width"))
    text = shapes.get(f"{_BLOCK}attn2.key.weight", (0, 0))[1]
    entries = 0 if text else shapes[f"{_BLOCK}ln2.emb.weight"][0]
    ffn = shapes[f"{_BLOCK}mlp.0.weight" if text else f"{_BLOCK}mlp.conv1.weight"][0]
    settings = facts.own_settings({"n_embd": width, "n_layer": depth}, ("content_seq_len",))
    positions = whole(settings, "content_seq_len", _positions(facts, table, bool(text)))
    side = isqrt(positions)
    return VQDiffusionConfig(
        depth=depth,
        width=width,
        heads=whole(settings, "n_head", HEADS),
        ffn=ffn,
        vocab=vocab,
        steps=shapes["log_at"][0],
        grid=(side, side),
        table=(table[0], table[1]),
        entries=entries,
        text_width=text,
        text_rows=shapes.get("empty_text_embed", (77,))[0] if text else 0,
        learned_null="empty_text_embed" in shapes or entries > CLASSES,
    )


def _positions(facts: FileFacts, table: tuple[int, ...], text: bool) -> int:
    """N: a text model's unused mask says it; the class model's table is twice as high and wide as its grid."""
    if text:
        mask = facts.shapes.get(f"{_BLOCK}attn2.mask")
        return mask[-1] if mask else table[0] * table[1]
    return (table[0] // 2) * (table[1] // 2)
