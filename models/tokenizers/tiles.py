"""A decoder's full size in tiles, where memory is short: the same image as in one piece, but for rounding.

Convolutions look a few positions around them, so that a tile with that much around it is exact inside. What looks at the
whole map are the norms: their means and variances are gathered over all tiles first, one norm after the other, as each
depends on those before it. Attention is at lower sizes only, which are decoded in one piece: a quarter of the memory
and less.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..parts.cast import cast_like
from .conv_blocks import Normalise, ResidualBlock, Upsample, as_it_is, channels_last

SIDE = 128  # pixels of a tile, without what lies around it


class TiledDecoder(nn.Module):
    """(B, Z, h, w) -> (B, 3, f*h, f*w), about [-1, 1], not clamped: a convolution, layers, then norm and convolution.

    Attributes:
        enlarges, local: kinds of layers that make a map twice as large, and that look at nothing but their surroundings,
            norms aside. The full size can be made in tiles where only such follow the last that enlarges.
        grow: pixels per side of one position of the full size.
    """

    enlarges: type[nn.Module] = Upsample
    local: type[nn.Module] = ResidualBlock
    grow = 1

    conv_in: nn.Module
    norm_out: nn.Module
    conv_out: nn.Module

    def layers(self) -> list[nn.Module]:
        """What is done between the first convolution and the last norm, one after the other."""
        raise NotImplementedError

    def step(
        self, layer: nn.Module, x: Tensor, codes: Tensor | None, norm: Normalise = as_it_is
    ) -> Tensor:
        """One of the layers; `norm` is for those that are local."""
        return layer(x, norm) if isinstance(layer, self.local) else layer(x)

    def end(self, x: Tensor, codes: Tensor | None, norm: Normalise = as_it_is) -> Tensor:
        """What follows the layers: the full size (B, C, h, w) -> (B, 3, grow*h, grow*w)."""
        return self.conv_out(F.silu(norm(self.norm_out, x)))  # pyright: ignore

    def forward(self, x: Tensor, side: int | None = None, codes: Tensor | None = None) -> Tensor:
        """Of a feature map, in one piece or in tiles.

        Args:
            side: pixels of the tiles that the full size is made in, where the layers allow it; None: in one piece.
            codes: (B, E, h, w), for layers that look at them too.
        """
        x, layers = self.conv_in(channels_last(x)), self.layers()
        whole = len(layers) if side is None else self._in_one_piece(layers)
        for layer in layers[:whole]:
            x = self.step(layer, x, codes)
        if side is None or whole == len(layers):
            return self.end(x, codes)
        full = FullSize(self, layers[whole:], max(1, side // (2 * self.grow)))
        given = zip(x.split(1), [None] * len(x) if codes is None else codes.split(1), strict=True)
        return torch.cat([full(*image) for image in given])

    def _in_one_piece(self, layers: Sequence[nn.Module]) -> int:
        """How many layers are left of those that can be made in tiles."""
        last = max(
            (i for i, one in enumerate(layers) if isinstance(one, self.enlarges)), default=-1
        )
        tiled = last >= 0 and all(isinstance(layer, self.local) for layer in layers[last + 1 :])
        return last if tiled else len(layers)


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
        decoder: whose layers they are.
        layers: one that enlarges, then local ones.
        side: of a tile, in positions of the input.
    """

    def __init__(self, decoder: TiledDecoder, layers: Sequence[nn.Module], side: int) -> None:
        self.decoder, self.layers, self.side = decoder, layers, side
        parts = [part for layer in (*layers, decoder.norm_out) for part in layer.modules()]
        self.norms = [part for part in parts if isinstance(part, nn.GroupNorm)]
        reach = [part.kernel_size[0] // 2 for part in parts if isinstance(part, nn.Conv2d)]
        self.around = math.ceil((sum(reach) + 1) / 2)  # 1: the last convolution's

    def __call__(self, x: Tensor, codes: Tensor | None) -> Tensor:
        """`codes` (1, E, ., .), where the layers look at them: a whole number of positions of x for each of theirs."""
        if codes is not None:
            codes = F.interpolate(codes, size=x.shape[-2:], mode="nearest")
        known: dict[nn.GroupNorm, tuple[Tensor, Tensor]] = {}
        for norm in self.norms:
            known[norm] = self._statistics(norm, known, x, codes)
        rows: dict[int, list[Tensor]] = {}
        for tile in self._tiles(x, codes):
            made = self._run(tile, lambda layer, y: normalised(layer, y, *known[layer]))
            rows.setdefault(tile.top, []).append(made[(..., *tile.core(2 * self.decoder.grow))])
        return torch.cat([torch.cat(row, dim=-1) for row in rows.values()], dim=-2)

    def _statistics(
        self,
        norm: nn.GroupNorm,
        known: dict[nn.GroupNorm, tuple[Tensor, Tensor]],
        x: Tensor,
        codes: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Mean and 1 / standard deviation (G, 1) of a norm's input over all tiles, in double precision."""
        sums = [self._sums(norm, known, tile) for tile in self._tiles(x, codes)]
        count, total, squares = torch.stack(sums).sum(0)
        mean = total / count
        return mean[:, None], (squares / count - mean.square() + norm.eps).rsqrt()[:, None]

    def _sums(
        self, norm: nn.GroupNorm, known: dict[nn.GroupNorm, tuple[Tensor, Tensor]], tile: "Tile"
    ) -> Tensor:
        """How many numbers a group of a norm's input has in this tile, their sum and their squares', (3, G)."""

        def stop_there(layer: nn.GroupNorm, y: Tensor) -> Tensor:
            if layer is norm:
                raise Reached(y[(..., *tile.core(2))])
            return normalised(layer, y, *known[layer])

        try:
            self._run(tile, stop_there)
        except Reached as reached:
            inside = reached.inside.reshape(norm.num_groups, -1).double()
            count = torch.full_like(inside[:, 0], inside.shape[1])
            return torch.stack((count, inside.sum(1), inside.square().sum(1)))
        raise AssertionError("a norm that is not among the layers")

    def _run(self, tile: "Tile", norm: Normalise) -> Tensor:
        """The layers, with other norms."""
        x = tile.x
        for layer in self.layers:
            x = self.decoder.step(layer, x, tile.codes, norm)
        return self.decoder.end(x, tile.codes, norm)

    def _tiles(self, x: Tensor, codes: Tensor | None) -> Iterator["Tile"]:
        height, width = x.shape[-2:]
        for top in range(0, height, self.side):
            for left in range(0, width, self.side):
                (rows, down), (columns, across) = self._span(top, height), self._span(left, width)
                part = (..., rows, columns)
                beside = None if codes is None else codes[part]
                yield Tile(channels_last(x[part]), beside, down, across, top)

    def _span(self, start: int, length: int) -> tuple[slice, slice]:
        """Along one side: what a tile reads, and where in that the tile itself is."""
        end = min(start + self.side, length)
        first = max(start - self.around, 0)
        return slice(first, min(end + self.around, length)), slice(start - first, end - first)


@dataclass(frozen=True)
class Tile:
    """A tile of the input, with what lies around it.

    Attributes:
        x, codes: (1, C, h, w) and (1, E, h, w).
        down, across: rows and columns of the tile itself.
        top: its first row in the whole.
    """

    x: Tensor
    codes: Tensor | None
    down: slice
    across: slice
    top: int

    def core(self, times: int) -> tuple[slice, slice]:
        """Where the tile itself is in a map `times` as large."""
        down, across = (
            slice(times * one.start, times * one.stop) for one in (self.down, self.across)
        )
        return down, across


def normalised(layer: nn.GroupNorm, x: Tensor, mean: Tensor, rate: Tensor) -> Tensor:
    """(x - mean) * rate for every group of channels, then the norm's own weight and bias: x (1, C, h, w)."""
    width = x.shape[1] // layer.num_groups
    scale = rate.repeat(1, width).flatten() * cast_like(layer.weight, x)
    shift = cast_like(layer.bias, x) - mean.repeat(1, width).flatten() * scale
    return torch.addcmul(shift.to(x.dtype)[:, None, None], x, scale.to(x.dtype)[:, None, None])
