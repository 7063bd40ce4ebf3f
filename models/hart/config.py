"""Sizes of HART's network, recovered from a file elsewhere (`network.config_from_file`)."""

from dataclasses import dataclass

from ..parts.levels import SquareScales
from ..parts.sizes import check_heads


@dataclass(frozen=True)
class HARTConfig(SquareScales):
    """Sizes of a network, and the variant of the layout.

    Attributes:
        text_tokens: n every prompt is padded to; padding is attended to, so the number matters.
        head_width, head_depth, head_steps: of the diffusion head; its steps are not in the weights.
        shared_adaln, qk_norm, level_table, context_norm: parts only some checkpoints have.
        eps: of the norms.
    """

    depth: int
    width: int
    heads: int
    vocab: int
    dim: int
    sides: tuple[int, ...]
    ffn: int
    text_dim: int
    text_tokens: int
    head_width: int
    head_depth: int
    head_steps: int = 8
    shared_adaln: bool = False
    qk_norm: bool = False
    level_table: bool = False
    context_norm: bool = True
    eps: float = 1e-6

    def __post_init__(self) -> None:
        check_heads(self.width, self.heads, multiple=4)
        if self.sides[0] != 1:
            raise ValueError(
                f"the first scale must be a single token, not {self.sides[0]}x{self.sides[0]}"
            )

    @property
    def step_tokens(self) -> int:
        """Positions of the largest forward pass; the first one reads the text."""
        return max(self.text_tokens, super().step_tokens)

    @property
    def length(self) -> int:
        """Positions of a run: the text, whose last one stands for the first scale, and the other scales."""
        return self.text_tokens + sum(side * side for side in self.sides[1:])
