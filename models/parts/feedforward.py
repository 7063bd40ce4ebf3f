"""The plain feed-forward of VAR and Infinity."""

from typing import Protocol

import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from .operations import Operations, Place


class Widths(Protocol):
    """Channels of the stream, and inside the feed-forward."""

    @property
    def width(self) -> int: ...

    @property
    def ffn(self) -> int: ...


class FeedForward(nn.Module):
    """Linear, GELU (tanh approximation), linear."""

    def __init__(self, config: Widths, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.fc1 = ops.Linear(config.width, config.ffn, **place)
        self.fc2 = ops.Linear(config.ffn, config.width, **place)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))
