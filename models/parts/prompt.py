"""What a network that reads text itself starts from: token ids of its own vocabulary."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Prompt:
    """One branch's beginning, a row per image, padded on the left so that every row ends at the same position.

    Attributes:
        ids: (B, P) token ids, 0 where there is padding.
        padding: (B, P) True where there is no token.
    """

    ids: Tensor
    padding: Tensor

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> "Prompt":
        """Rows of different lengths in one batch."""
        length = max(len(row) for row in rows)
        gaps = torch.tensor([length - len(row) for row in rows])
        ids = torch.tensor([[0] * (length - len(row)) + list(row) for row in rows])
        return cls(ids, torch.arange(length) < gaps[:, None])

    @property
    def positions(self) -> int:
        """P, padding included."""
        return self.ids.shape[1]

    def repeated(self, copies: int) -> "Prompt":
        """Every row `copies` times, copies side by side."""
        return Prompt(*(x.repeat_interleave(copies, 0) for x in (self.ids, self.padding)))


def stack_prompts(branches: Sequence[Prompt], device: torch.device) -> Prompt:
    """All branches' rows (R*B, P) in one batch, padded to the longest."""
    length = max(branch.positions for branch in branches)
    gaps = [length - branch.positions for branch in branches]
    pairs = list(zip(branches, gaps, strict=True))
    return Prompt(
        torch.cat([F.pad(b.ids, (gap, 0)) for b, gap in pairs]).to(device),
        torch.cat([F.pad(b.padding, (gap, 0), value=True) for b, gap in pairs]).to(device),
    )
