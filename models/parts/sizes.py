"""What the sizes and the networks of every family have in common, as whoever runs them sees it."""

from dataclasses import Field
from typing import Any, ClassVar, Protocol

from torch import Tensor

from .grid import Grid
from .network import Network


def check_heads(width: int, heads: int, multiple: int = 1) -> None:
    """Raise ValueError unless `heads` heads share `width` channels evenly, each a multiple of `multiple` (4: rotary in two axes)."""
    if heads < 1 or width % heads or width // heads % multiple:
        raise ValueError(f"its {width} channels cannot be shared by {heads} heads")


class TransformerConfig(Protocol):
    """What every transformer's sizes say, whatever else they hold: each family has a dataclass of its own."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def grid(self) -> Grid:
        """(h, w) in tokens of the image that is made."""
        ...

    @property
    def length(self) -> int:
        """Tokens of an image, over all scales."""
        ...

    @property
    def vocab(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def ffn(self) -> int: ...


class SteppedConfig(TransformerConfig, Protocol):
    """Of networks that predict many tokens in a step: scale-wise ones, and discrete diffusion."""

    @property
    def grids(self) -> tuple[Grid, ...]:
        """(h, w) of every step."""
        ...

    @property
    def step_tokens(self) -> int:
        """Positions of the largest forward pass."""
        ...


class DiffusingConfig(SteppedConfig, Protocol):
    """Of discrete diffusion."""

    @property
    def steps(self) -> int:
        """Steps T of the diffusion."""
        ...


class CodecConfig(Protocol):
    """What every image tokenizer's sizes say."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def factor(self) -> int:
        """Pixels per side of a token."""
        ...

    @property
    def held_per_pixel(self) -> float:
        """Numbers that decoding holds at once for each pixel of an image, for the estimate of memory."""
        ...

    @property
    def vocab(self) -> int:
        """Tokens it decodes; 0 where a token is a row of bits."""
        ...

    @property
    def dim(self) -> int:
        """Channels of a code vector."""
        ...


class Codec(Network, Protocol):
    """An image tokenizer: between images (B, 3, H, W) in [-1, 1] and feature maps (B, Z, h, w), and what tokens stand for.

    `config` is a `CodecConfig`. Scale-wise ones offer more (`sampling.scalewise.ScaleCodec`).
    """

    def lookup(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Code vectors (B, Z, h, w) of tokens (B, h*w)."""
        ...

    def decode(self, features: Tensor, tile: int | None = None) -> Tensor:
        """Images of feature maps; `tile`: pixels of the tiles that a decoder that can makes its full size in."""
        ...

    def encode(self, images: Tensor) -> Tensor:
        """Tokens (B, h*w) of images, where one grid says all."""
        ...
