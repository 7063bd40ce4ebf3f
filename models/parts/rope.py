"""Rotary positions: lines and grids, interleaved pairs or halves, and LlamaGen's dead prefix.

Letters: T positions, d head width (d/2 pairs). Pair m of a head vector is turned by angle m:
(a, b) -> (a cos - b sin, b cos + a sin). Interleaved, it is its elements (2m, 2m + 1); in halves, (m, m + d/2).
"""

import torch
from torch import Tensor

BASE = 10000.0


def frequencies(pairs: int, device: torch.device, base: float = BASE) -> Tensor:
    """base^(-i/pairs), i = 0 .. pairs - 1, fp32."""
    return base ** -(torch.arange(pairs, dtype=torch.float32, device=device) / pairs)


def line_angles(positions: Tensor, pairs: int, base: float = BASE) -> Tensor:
    """Angles (..., T, pairs) of positions (..., T) on a line: p * base^(-i/pairs)."""
    return positions.float()[..., None] * frequencies(pairs, positions.device, base)


def grid_angles(grid: tuple[int, int], pairs: int, start: int = 0) -> Tensor:
    """Angles (h*w, pairs) of a grid in raster order: the first half turns with the row, the second with the column.

    `start`: coordinate of the first row and column.
    """
    rows, columns = (line_angles(start + torch.arange(side), pairs // 2) for side in grid)
    angles = [rows[:, None].expand(*grid, -1), columns[None].expand(*grid, -1)]
    return torch.cat(angles, dim=-1).flatten(0, 1)


def rope_table(angles: Tensor, prefix: int) -> Tensor:
    """(prefix + T, pairs, 2): cosines and sines; zero for the prefix.

    Zero, not the identity: queries and keys of the prefix vanish, so it is attended to with logit 0 by everybody.
    """
    table = turns(angles)
    return torch.cat((table.new_zeros(prefix, *table.shape[1:]), table))


def turns(angles: Tensor) -> Tensor:
    """Angles (T, pairs), or (rows, T, pairs) -> a table (T, pairs, 2), or (rows, 1, T, pairs, 2): cosines and sines."""
    if angles.dim() == 3:
        angles = angles[:, None]  # the same for every head
    return torch.stack((angles.cos(), angles.sin()), dim=-1)


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """x (rows, H, T, d) turned by a table of `turns`, interleaved pairs, in fp32 and cast back."""
    pairs = x.float().unflatten(-1, (-1, 2))
    # One operation for six; not every other device has complex numbers.
    turned = as_complex(pairs, table) if x.device.type == "cpu" else as_pairs(pairs, table)
    return turned.flatten(-2).to(x.dtype)


def as_complex(pairs: Tensor, table: Tensor) -> Tensor:
    """Pairs (..., T, d/2, 2) turned, (a + ib)(cos + i sin)."""
    product = torch.view_as_complex(pairs.contiguous()) * torch.view_as_complex(table)
    return torch.view_as_real(product)


def as_pairs(pairs: Tensor, table: Tensor) -> Tensor:
    """The same, written out."""
    (a, b), (cos, sin) = pairs.unbind(-1), table.unbind(-1)
    return torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1)


def rotate_halves(x: Tensor, table: Tensor) -> Tensor:
    """x (rows, H, T, d) turned by a table of `turns`, halves as pairs, in fp32 and cast back."""
    (a, b), (cos, sin) = x.float().chunk(2, dim=-1), table.unbind(-1)
    first, second = torch.addcmul(a * cos, b, sin, value=-1), torch.addcmul(b * cos, a, sin)
    return torch.cat((first, second), dim=-1).to(x.dtype)
