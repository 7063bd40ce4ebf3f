"""Where a network's layers come from, and where its weights go."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypedDict

import torch
from torch import nn


class Place(TypedDict, total=False):
    """Type and device of new weights, as the constructors of layers take them; what is left out is torch's default."""

    dtype: torch.dtype | None
    device: torch.device | None


class Operations(Protocol):
    """A namespace of layers: `torch.nn`, or a host's, whose layers manage their own memory."""

    @property
    def Linear(self) -> type[nn.Linear]: ...

    @property
    def Embedding(self) -> type[nn.Embedding]: ...

    @property
    def Conv2d(self) -> type[nn.Conv2d]: ...

    @property
    def GroupNorm(self) -> type[nn.GroupNorm]: ...

    @property
    def LayerNorm(self) -> type[nn.LayerNorm]: ...


@dataclass(frozen=True)
class Layers:
    """`Operations` put together from any layers.

    Attributes:
        before: what a host calls in every layer, for example to ask whether the run was cancelled.
    """

    Linear: type[nn.Linear]
    Embedding: type[nn.Embedding]
    Conv2d: type[nn.Conv2d]
    GroupNorm: type[nn.GroupNorm]
    LayerNorm: type[nn.LayerNorm]
    before: Callable[[], object] = lambda: None
