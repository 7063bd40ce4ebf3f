"""Linear layers at a few positions at once, as in a window of guessed tokens."""

from typing import Any

import torch
from torch import Tensor

FEW = range(
    2, 33
)  # positions: one is a matrix-vector product already, many are a matrix product worth its name
LARGE = 1 << 18  # elements of a weight; a smaller one lies in the processor's cache


def linear(layer: Any, x: Tensor) -> Tensor:
    """layer(x), x (..., D), as W x^T on the processor for a few positions in single precision.

    The same products in another order: libraries split W x^T over the cores by rows of W, and x W^T badly. Left to the layer
    where a host's does more than a product (another type or place of its weight, patches on it).
    """
    rows = x.numel() // x.shape[-1]
    if rows not in FEW or not _plain(layer, x):
        return layer(x)
    y = torch.mm(layer.weight, x.reshape(rows, -1).t()).t()
    if layer.bias is not None:
        y = y + layer.bias
    return y.unflatten(0, x.shape[:-1])


def _plain(layer: Any, x: Tensor) -> bool:
    """Whether the layer is a product with its weight and nothing else, and a large one."""
    weight = layer.weight
    return (
        x.device.type == "cpu"
        and type(weight) is torch.nn.Parameter
        and weight.dtype == x.dtype == torch.float32
        and weight.device == x.device
        and weight.numel() >= LARGE
        and not getattr(layer, "weight_function", ())
        and not getattr(layer, "bias_function", ())
        and not layer._forward_hooks
        and not layer._forward_pre_hooks
    )
