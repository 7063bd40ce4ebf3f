"""Linear layers on the processor: the same products in the order that its libraries do better."""

import torch
from torch import Tensor, nn

LARGE = 1 << 18  # elements of a weight; a smaller one lies in the processor's cache
FEW = 400  # rows up to which parts of W are faster; from there on it is the whole of it times x^T
PARTS = 8  # that a weight's rows are taken in: as many products that are shared out over the cores


def linear(layer: nn.Linear, x: Tensor, bias: Tensor | None = None) -> Tensor:
    """layer(x) + bias, x (..., D), on the processor in single precision where W is large: for a few rows by parts of W,
    for many as W x^T.

    Libraries share out several products over the cores well, a single one of a few rows badly, and W x^T better than x W^T.
    Left to the layer on a single core, and where a host's does more than a product (another type or place of its weight,
    patches on it).

    Args:
        bias: in place of the layer's own, where a file keeps it in parts.
    """
    rows = x.numel() // x.shape[-1]
    if torch.get_num_threads() < 2 or not _plain(layer, x):
        return layer(x) if bias is None else layer(x) + bias
    bias = layer.bias if bias is None else bias
    multiply = _by_parts if rows <= FEW else _turned
    return multiply(x.reshape(rows, -1), layer.weight, bias).unflatten(0, x.shape[:-1])


def _by_parts(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x W^T + bias, x (rows, D) -> (rows, outputs)."""
    columns = weight.unflatten(0, (PARTS, -1)).transpose(1, 2)  # (parts, D, outputs / parts)
    alike = x.expand(PARTS, -1, -1)
    if bias is None:
        y = torch.bmm(alike, columns)
    else:
        y = torch.baddbmm(bias.unflatten(0, (PARTS, 1, -1)), alike, columns)
    return y.transpose(0, 1).flatten(1)


def _turned(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The same as (W x^T + bias)^T: its columns lie in memory one behind the other."""
    y = torch.mm(weight, x.t()) if bias is None else torch.addmm(bias[:, None], weight, x.t())
    return y.t()


def _plain(layer: nn.Linear, x: Tensor) -> bool:
    """Whether the layer is a product with its weight and nothing else, and a large one."""
    weight = layer.weight
    return (
        x.device.type == "cpu"
        and type(weight) is torch.nn.Parameter
        and weight.dtype == x.dtype == torch.float32
        and weight.device == x.device
        and weight.numel() >= LARGE
        and weight.shape[0] % PARTS == 0
        and not getattr(layer, "weight_function", ())
        and not getattr(layer, "bias_function", ())
        and not layer._forward_hooks
        and not layer._forward_pre_hooks
    )
