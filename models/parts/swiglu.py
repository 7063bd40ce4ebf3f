"""Gated feed-forward, under the two sets of names its weights have."""

import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from .operations import Operations, Place


class SwiGLU(nn.Module):
    """down(SiLU(gate(x)) * up(x)), no biases."""

    def __init__(self, width: int, hidden: int, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.gate_proj = ops.Linear(width, hidden, bias=False, **place)
        self.up_proj = ops.Linear(width, hidden, bias=False, **place)
        self.down_proj = ops.Linear(hidden, width, bias=False, **place)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(gated(self.gate_proj(x), self.up_proj(x)))


class LlamaSwiGLU(nn.Module):
    """w2(silu(w1 x) * w3 x), no biases."""

    def __init__(self, width: int, ffn: int, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.w1 = ops.Linear(width, ffn, bias=False, **place)
        self.w3 = ops.Linear(width, ffn, bias=False, **place)
        self.w2 = ops.Linear(ffn, width, bias=False, **place)

    def forward(self, x: Tensor) -> Tensor:
        return self.w2(gated(self.w1(x), self.w3(x)))


def gated(gate: Tensor, up: Tensor) -> Tensor:
    """SiLU(gate) * up, in the place of `gate` where no gradient is asked for."""
    if gate.requires_grad:
        return F.silu(gate) * up
    return F.silu(gate, inplace=True).mul_(up)
