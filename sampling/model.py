"""What the loops, tokens and conditions need of a loaded model; `loaders.checkpoint.ARModel` is one."""

from pathlib import Path
from typing import Any, Protocol

from ..models.family import Defaults, Family


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
    def family(self) -> Family: ...
    @property
    def config(self) -> Any: ...
    @property
    def defaults(self) -> Defaults: ...
    @property
    def network(self) -> Any: ...
    @property
    def tokenizer(self) -> Any: ...
    @property
    def codec(self) -> str: ...
    @property
    def folder(self) -> Path: ...
