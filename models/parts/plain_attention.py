"""Attention without a mask, by whatever the caller of a run has chosen for it."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch.nn.functional as F
from torch import Tensor

FEW = 2  # positions of a decoding step: a token, and a line end where one follows it

# q (rows, H, T, d), k and v (rows, H, L, d) -> (rows, H, T, d), scores divided by sqrt(d)
Kernel = Callable[[Tensor, Tensor, Tensor], Tensor]

_chosen: ContextVar[Kernel | None] = ContextVar("chosen attention", default=None)


@contextmanager
def attention_by(kernel: Kernel | None) -> Iterator[None]:
    """Within this block, `attend_plainly` computes with `kernel`; None: with PyTorch's own."""
    token = _chosen.set(kernel)
    try:
        yield
    finally:
        _chosen.reset(token)


def attend_plainly(q: Tensor, k: Tensor, v: Tensor, scale: float | None = None) -> Tensor:
    """softmax(scale q k^T) v without a mask: q (rows, H, T, d), k and v (rows, H, L, d) -> (rows, H, T, d).

    The one or two queries of a decoding step stay with PyTorch: other kernels would prepare the whole cache for them each time.

    Args:
        scale: of q k^T; by default 1 / sqrt(d).
    """
    kernel = _chosen.get()
    if kernel is None or q.shape[2] <= FEW:
        return F.scaled_dot_product_attention(q, k, v, scale=scale)
    if scale is not None:
        q = q * (scale * math.sqrt(q.shape[-1]))
    return kernel(q, k, v)
