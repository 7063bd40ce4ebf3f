"""Gated feed-forward."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn


class SwiGLU(nn.Module):
    """down(SiLU(gate(x)) * up(x)), no biases."""

    def __init__(self, width: int, hidden: int, ops: Any, **place: Any) -> None:
        super().__init__()
        self.gate_proj = ops.Linear(width, hidden, bias=False, **place)
        self.up_proj = ops.Linear(width, hidden, bias=False, **place)
        self.down_proj = ops.Linear(hidden, width, bias=False, **place)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
