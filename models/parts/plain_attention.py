"""Attention without a mask, by whatever was chosen for a network."""

import math
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

FEW = 2  # positions of a decoding step: a token, and a line end where one follows it

# q (rows, H, T, d), k and v (rows, H, L, d) -> (rows, H, T, d), scores divided by sqrt(d)
Kernel = Callable[[Tensor, Tensor, Tensor], Tensor]


class Attending(nn.Module):
    """A layer that attends without a mask.

    Attributes:
        kernel: what computes it; None: PyTorch's own.
    """

    kernel: Kernel | None = None


def attend_by(network: nn.Module, kernel: Kernel | None) -> None:
    """From now on the layers of a network that attend without a mask do so by `kernel`."""
    for layer in network.modules():
        if isinstance(layer, Attending):
            layer.kernel = kernel


def attend_plainly(
    q: Tensor, k: Tensor, v: Tensor, kernel: Kernel | None = None, scale: float | None = None
) -> Tensor:
    """softmax(scale q k^T) v without a mask: q (rows, H, T, d), k and v (rows, H, L, d) -> (rows, H, T, d).

    The one or two queries of a decoding step stay with PyTorch: other kernels would prepare the whole cache for them each time.

    Args:
        kernel: see `Attending`.
        scale: of q k^T; by default 1 / sqrt(d).
    """
    if kernel is None or q.shape[2] <= FEW:
        return F.scaled_dot_product_attention(q, k, v, scale=scale)
    if scale is not None:
        q = q * (scale * math.sqrt(q.shape[-1]))
    return kernel(q, k, v)
