"""Linear layers on the processor: the same products by what computes them fastest."""

import platform
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from .operations import Layers, Operations

X86 = ("x86_64", "amd64")  # processors on which oneDNN's product was tried

Product = Callable[
    [Tensor, Tensor, Tensor | None], Tensor
]  # x (rows, D), W (outputs, D), bias -> (rows, outputs)

FEW = 4  # rows up to which W is read as fast as memory gives it
LARGE = 1 << 18  # elements of a weight that does not lie in the processor's cache
PARTS = 8  # that such a weight's rows are taken in, shared out over the cores
WORTH = 1 << 22  # multiplications from which on oneDNN gains more than it takes to begin
BLOCK = 16  # rows of oneDNN's kernels
NARROW = 64  # rows up to which it takes W x^T where they fill its blocks


def quick(operations: Operations) -> Operations:
    """The same layers, linear ones of large products on the processor by what computes those fastest.

    `operations` may have a `before`, see `Layers`.
    """
    before: Callable[[], object] = getattr(operations, "before", lambda: None)

    class Linear(operations.Linear):
        def forward(self, input: Tensor) -> Tensor:
            many = input.numel() * self.out_features >= WORTH  # multiplications
            if not many and self.in_features * self.out_features < LARGE:
                return super().forward(input)
            y = product(self, input, self.bias, before)
            return super().forward(input) if y is None else y

    return Layers(
        Linear,
        operations.Embedding,
        operations.Conv2d,
        operations.GroupNorm,
        operations.LayerNorm,
        before,
    )


def linear(layer: nn.Linear, x: Tensor, bias: Tensor) -> Tensor:
    """layer(x) + bias, x (..., D), for a layer without a bias whose file keeps it in parts."""
    y = product(layer, x, bias)
    return layer(x) + bias if y is None else y


def product(
    layer: nn.Linear, x: Tensor, bias: Tensor | None, before: Callable[[], object] = lambda: None
) -> Tensor | None:
    """x W^T + bias, x (..., D), on the processor in single precision: a few rows times a large W as W x^T in parts, more by oneDNN.

    None, and so left to the layer, where it is small, where oneDNN is not built in, where gradients are asked for, and where
    a host's layer does more than a product (another type or place of its weight, patches on it).

    Args:
        before: called before the product.
    """
    rows = x.numel() // x.shape[-1]
    multiply = _way(rows, layer.weight) if _plain(layer, x, bias) else None
    if multiply is None:
        return None
    before()
    y = multiply(x.reshape(rows, x.shape[-1]), layer.weight, bias)
    return y.view(*x.shape[:-1], y.shape[1])


def _way(rows: int, weight: Tensor) -> Product | None:
    """How so many rows are multiplied; None: as the layer does."""
    if rows <= FEW:
        return _in_parts if weight.numel() >= LARGE and weight.shape[0] % PARTS == 0 else None
    if rows * weight.numel() < WORTH or onednn() is None:
        return None
    return _turned if rows <= BLOCK or (rows <= NARROW and rows % BLOCK == 0) else _straight


def _in_parts(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x W^T + bias, x (rows, D) -> (rows, outputs), as W x^T: W's rows in parts, side by side."""
    y = torch.bmm(weight.unflatten(0, (PARTS, -1)), x.t().expand(PARTS, -1, -1)).flatten(0, 1)
    return _plus(y.t().contiguous(), bias)


def _turned(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The same by oneDNN, as (W x^T)^T."""
    return _plus(_onednn(weight, x, None).t().contiguous(), bias)


def _straight(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The same by oneDNN, as it stands."""
    return _onednn(x, weight, bias)


def _plus(y: Tensor, bias: Tensor | None) -> Tensor:
    """y + bias, in the place of y."""
    return y if bias is None else y.add_(bias)


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x W^T + bias."""
    multiply = onednn()
    assert multiply is not None
    return multiply(x, weight, bias, "none", [], "")


@cache
def onednn() -> Callable[..., Tensor] | None:
    """oneDNN's product, which compiled PyTorch takes, where this PyTorch has it and it computes.

    Plain PyTorch's is MKL's in single precision, which does not use the widest vectors of every processor.
    """
    if not torch.backends.mkldnn.is_available() or platform.machine().lower() not in X86:
        return None
    multiply = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    ones = torch.ones(BLOCK, BLOCK, device="cpu")
    try:
        right = multiply is not None and torch.equal(
            multiply(ones, ones, None, "none", [], ""), ones @ ones
        )
    except (RuntimeError, TypeError):  # a later PyTorch may ask it otherwise: it is not public
        return None
    return multiply if right else None


def _plain(layer: nn.Linear, x: Tensor, bias: Tensor | None) -> bool:
    """Whether the layer is a product with its weight and nothing else, of what the ways above take."""
    weight = layer.weight
    return (
        x.device.type == "cpu"
        and type(weight) is torch.nn.Parameter
        and _lies_like(weight, x)
        and (bias is None or (_lies_like(bias, x) and bias.shape == weight.shape[:1]))
        and not torch.is_grad_enabled()
        and not getattr(layer, "weight_function", ())
        and not getattr(layer, "bias_function", ())
    )


def _lies_like(parameter: Tensor, x: Tensor) -> bool:
    """Single precision in one piece, beside x."""
    return (
        parameter.dtype == x.dtype == torch.float32
        and parameter.device == x.device
        and parameter.is_contiguous()
    )
