"""What the loops, tokens and conditions need of a loaded model; `loaders.checkpoint.ARModel` is one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from ..models.family import Defaults, TransformerFamily
from ..models.parts.grid import Grid
from ..models.parts.network import Transformer
from ..models.parts.sizes import Codec, TransformerConfig


class ScaleCodec(Codec, Protocol):
    """An image tokenizer of several scales: their codes add up to one feature map. `mix` only where a run mixes code vectors."""

    def empty_features(self, batch: int, grids: Sequence[Grid], device: torch.device) -> Tensor: ...

    def mix(self, weights: Tensor, grid: Grid) -> Tensor: ...

    def refine(self, codes: Tensor, scale: int, grids: Sequence[Grid]) -> Tensor: ...

    def next_input(self, features: Tensor, grid: Grid) -> Tensor: ...

    def encode_features(self, images: Tensor) -> Tensor: ...

    def quantise(
        self, features: Tensor, grids: Sequence[Grid]
    ) -> tuple[Sequence[Tensor], Tensor]: ...


class Model(Protocol):
    """A transformer with its image tokenizer.

    Attributes:
        name: for messages.
        family: what the transformer is.
        config: of the transformer, for the size of image that is asked for.
        defaults: published sampling settings.
        network: the transformer.
        tokenizer: the image tokenizer.
        codec: fingerprint of the tokenizer.
        folder: where the transformer's file lies.
    """

    @property
    def name(self) -> str: ...
    @property
    def family(self) -> TransformerFamily: ...
    @property
    def config(self) -> TransformerConfig: ...
    @property
    def defaults(self) -> Defaults: ...
    @property
    def network(self) -> Transformer: ...
    @property
    def tokenizer(self) -> Codec: ...
    @property
    def codec(self) -> str: ...
    @property
    def folder(self) -> Path: ...
