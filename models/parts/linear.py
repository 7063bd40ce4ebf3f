"""Linear layers on the processor: the same products in the order that its libraries do better."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LARGE = 1 << 18  # elements of a weight; a smaller one lies in the processor's cache
FEW = 16  # rows below which x^T must not be laid out on its own: the library then falls back to a slow path
EVEN = 8  # of other numbers of rows than multiples of this the library makes a fifth less of the processor


def linear(layer: nn.Linear, x: Tensor, bias: Tensor | None = None) -> Tensor:
    """layer(x) + bias, x (..., D), as W x^T on the processor in single precision where W is large.

    Libraries split W x^T over the cores by rows of W, and x W^T badly. Left to the layer for a single row, on a single
    core, and where a host's does more than a product (another type or place of its weight, patches on it).

    Args:
        bias: in place of the layer's own, where a file keeps it in parts.
    """
    rows = x.numel() // x.shape[-1]
    if rows < 2 or torch.get_num_threads() < 2 or not _plain(layer, x):
        return layer(x) if bias is None else layer(x) + bias
    columns = _columns(x.reshape(rows, -1))
    bias = layer.bias if bias is None else bias
    if bias is None:
        y = torch.mm(layer.weight, columns)
    else:
        y = torch.addmm(bias[:, None], layer.weight, columns)
    return y.t()[:rows].unflatten(0, x.shape[:-1])


def _columns(x: Tensor) -> Tensor:
    """x^T (D, rows), with zeros behind it where the library would rather have a few rows more."""
    rows = x.shape[0]
    if rows < FEW:
        return x.contiguous().t()
    more = -rows % EVEN
    if not more:
        return x.t()
    return F.pad(x.t(), (0, more)) if x.stride(0) == 1 else F.pad(x, (0, 0, 0, more)).t()


def _plain(layer: nn.Linear, x: Tensor) -> bool:
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
