"""Rotary positions of the LlamaGen kind: interleaved pairs, a dead prefix, lines and grids.

Letters: T positions, d head width (d/2 pairs). Pair m of a head vector is its elements (2m, 2m + 1), turned by angle m:
(a, b) -> (a cos - b sin, b cos + a sin).
"""

import torch
from torch import Tensor

BASE = 10000.0


def line_angles(positions: Tensor, pairs: int) -> Tensor:
    """Angles (T, pairs) of positions on a line: p * BASE^(-i/pairs)."""
    frequencies = BASE ** -(torch.arange(pairs, dtype=torch.float32) / pairs)
    return positions.float()[:, None] * frequencies


def grid_angles(grid: tuple[int, int], pairs: int, start: int = 0) -> Tensor:
    """Angles (h*w, pairs) of a grid in raster order: the first half turns with the row, the second with the column.

    `start`: coordinate of the first row and column.
    """
    rows, columns = (line_angles(start + torch.arange(side), pairs // 2) for side in grid)
    angles = [rows[:, None].expand(*grid, -1), columns[None].expand(*grid, -1)]
    return torch.cat(angles, dim=-1).flatten(0, 1)


def rope_table(angles: Tensor, prefix: int) -> Tensor:
    """(2, prefix + T, pairs): cosines and sines; zero for the prefix.

    Zero, not the identity: queries and keys of the prefix vanish, so it is attended to with logit 0 by everybody.
    """
    table = torch.stack((angles.cos(), angles.sin()))
    return torch.cat((table.new_zeros(2, prefix, angles.shape[1]), table), dim=1)


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """x (rows, H, T, d) turned by `table` (2, T, d/2), in fp32 and cast back."""
    cos, sin = table[0], table[1]
    a, b = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2).to(x.dtype)
