"""What every network is: a module built from a config."""

from typing import Generic, TypeVar

import torch
from torch import nn
from typing_extensions import Unpack

from .linear import quick
from .operations import Operations, Place

C = TypeVar("C")


class ConfiguredModule(nn.Module, Generic[C]):
    """A network of the sizes of `config`. A family defines `build` and what the network does.

    Args:
        config: sizes.
        operations: where layers come from: `torch.nn`, or a host's namespace of layers that manage their own memory.
        dtype, device: of the weights. Matrix products run in `dtype` (`compute_dtype`); residual streams, features between
            encoder and decoder, and code look-ups are fp32.
    """

    config: C
    compute_dtype: torch.dtype

    def __init__(
        self,
        config: C,
        operations: Operations = nn,
        dtype: torch.dtype | None = None,
        device: torch.device | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.compute_dtype = dtype or torch.get_default_dtype()
        self.build(quick(operations), dtype=dtype, device=device)

    def build(self, operations: Operations, **place: Unpack[Place]) -> None:
        """Make the layers; their names are the keys of the file."""
        raise NotImplementedError
