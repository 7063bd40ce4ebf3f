"""Rotary positions with adjacent channels as pairs."""

import torch
from torch import Tensor


def rotate_pairs(x: Tensor, angles: Tensor) -> Tensor:
    """Turn channel pairs (2i, 2i+1) of x (rows, H, T, d) by angles (T, d/2); in fp32, back in the type of x."""
    pairs = x.float().unflatten(-1, (-1, 2))  # (rows, H, T, d/2, 2)
    a, b = pairs.unbind(-1)
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2).to(x.dtype)
