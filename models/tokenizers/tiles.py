"""A decoder's full size in tiles, where memory is short: the same image as in one piece, but for rounding.

Convolutions look a few positions around them, so that a tile with that much around it is exact inside. What looks at the
whole map are the norms: their means and variances are gathered over all tiles first, one norm after the other, as each
depends on those before it. Attention is at lower sizes only, which are decoded in one piece: a quarter of the memory
and less.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..parts.cast import cast_like
from .conv_blocks import ResidualBlock, Upsample, channels_last

SIDE = 128  # pixels of a tile, without what lies around it


class TiledDecoder(nn.Module):
    """(B, Z, h, w) -> (B, 3, f*h, f*w), about [-1, 1], not clamped: a convolution, layers, then norm and convolution."""

    conv_in: nn.Module
    norm_out: nn.GroupNorm
    conv_out: nn.Module

    def layers(self) -> list[nn.Module]:
        """What is done between the first convolution and the last norm, one after the other."""
        raise NotImplementedError

    def forward(self, x: Tensor, side: int | None = None) -> Tensor:
        """`side`: pixels of the tiles that the full size is made in, where the layers allow it; None: in one piece."""
        x, layers = self.conv_in(channels_last(x)), self.layers()
        last = max((i for i, one in enumerate(layers) if isinstance(one, Upsample)), default=0)
        whole = len(layers) if side is None or not _local(layers[last:]) else last
        for layer in layers[:whole]:
            x = layer(x)
        if side is None or whole == len(layers):
            return self.conv_out(F.silu(self.norm_out(x)))
        full = FullSize(layers[last:], self.norm_out, self.conv_out, side // 2)
        return torch.cat([full(image) for image in x.split(1)])


def _local(layers: Sequence[nn.Module]) -> bool:
    """Whether layers look at nothing but their surroundings, norms aside."""
    return isinstance(layers[0], Upsample) and all(
        isinstance(layer, ResidualBlock) for layer in layers[1:]
    )


class Reached(Exception):
    """A pass has come to the norm it was made for.

    Attributes:
        inside: what the norm would read, (1, C, h, w), of the tile itself.
    """

    def __init__(self, inside: Tensor) -> None:
        super().__init__()
        self.inside = inside


class FullSize:
    """The layers from the last enlargement on, over tiles of their input (1, C, h, w).

    Args:
        layers: an `Upsample`, then residual blocks.
        side: of a tile, in positions of the input.
    """

    def __init__(
        self, layers: Sequence[nn.Module], norm_out: nn.GroupNorm, conv_out: nn.Module, side: int
    ) -> None:
        self.layers, self.norm_out, self.conv_out, self.side = layers, norm_out, conv_out, side
        blocks = [layer for layer in layers if isinstance(layer, ResidualBlock)]
        self.norms = [norm for block in blocks for norm in (block.norm1, block.norm2)]
        self.norms.append(norm_out)
        pixels = 2 + 2 * len(blocks)  # that a pixel looks at in every direction: 3x3 convolutions
        self.around = math.ceil(pixels / 2)

    def __call__(self, x: Tensor) -> Tensor:
        known: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        for norm in self.norms:
            known[norm] = self._statistics(norm, known, x)
        rows: dict[int, list[Tensor]] = {}
        for top, tile, core in self._tiles(x):
            made = self._run(tile, lambda layer, y: normalised(layer, y, *known[layer]))
            rows.setdefault(top, []).append(made[(..., *core)])
        return torch.cat([torch.cat(row, dim=-1) for row in rows.values()], dim=-2)

    def _statistics(
        self, norm: nn.GroupNorm, known: dict[nn.Module, tuple[Tensor, Tensor]], x: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mean and 1 / standard deviation (G, 1) of a norm's input over all tiles, in double precision."""
        sums = [self._sums(norm, known, tile, core) for _, tile, core in self._tiles(x)]
        count, total, squares = torch.stack(sums).sum(0)
        mean = total / count
        return mean[:, None], (squares / count - mean.square() + norm.eps).rsqrt()[:, None]

    def _sums(
        self,
        norm: nn.GroupNorm,
        known: dict[nn.Module, tuple[Tensor, Tensor]],
        tile: Tensor,
        core: tuple[slice, slice],
    ) -> Tensor:
        """How many numbers a group of a norm's input has in this tile, their sum and their squares', (3, G)."""

        def stop_there(layer: nn.GroupNorm, y: Tensor) -> Tensor:
            if layer is norm:
                raise Reached(y[(..., *core)])
            return normalised(layer, y, *known[layer])

        try:
            self._run(tile, stop_there)
        except Reached as reached:
            inside = reached.inside.reshape(norm.num_groups, -1).double()
            count = torch.full_like(inside[:, 0], inside.shape[1])
            return torch.stack((count, inside.sum(1), inside.square().sum(1)))
        raise AssertionError("a norm that is not among the layers")

    def _run(self, x: Tensor, norm: Callable[[nn.GroupNorm, Tensor], Tensor]) -> Tensor:
        """The layers, with other norms."""
        for layer in self.layers:
            x = layer(x, norm) if isinstance(layer, ResidualBlock) else layer(x)
        return self.conv_out(F.silu(norm(self.norm_out, x)))

    def _tiles(self, x: Tensor) -> Iterator[tuple[int, Tensor, tuple[slice, slice]]]:
        """(first row, a tile with what lies around it, where in its output the tile itself is)."""
        height, width = x.shape[-2:]
        for top in range(0, height, self.side):
            for left in range(0, width, self.side):
                (rows, down), (columns, across) = (
                    self._span(top, height),
                    self._span(left, width),
                )
                yield top, channels_last(x[:, :, rows, columns]), (down, across)

    def _span(self, start: int, length: int) -> tuple[slice, slice]:
        """Along one side: what a tile reads, and where in its output (twice as large) it is itself."""
        end = min(start + self.side, length)
        first = max(start - self.around, 0)
        return (
            slice(first, min(end + self.around, length)),
            slice(2 * (start - first), 2 * (end - first)),
        )


def normalised(layer: nn.GroupNorm, x: Tensor, mean: Tensor, rate: Tensor) -> Tensor:
    """(x - mean) * rate for every group of channels, then the norm's own weight and bias: x (1, C, h, w)."""
    width = x.shape[1] // layer.num_groups
    scale = rate.repeat(1, width).flatten() * cast_like(layer.weight, x)
    shift = cast_like(layer.bias, x) - mean.repeat(1, width).flatten() * scale
    return torch.addcmul(shift.to(x.dtype)[:, None, None], x, scale.to(x.dtype)[:, None, None])
