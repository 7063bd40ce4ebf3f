"""Top-k and top-p: which tokens are too unlikely to be drawn. One sort of the values serves both."""

import math

import numpy as np
import torch
from torch import Tensor


def keep_likeliest(logits: Tensor, k: int = 0, p: float = 1.0) -> Tensor:
    """`keep_top_k`, then `keep_top_p`; 0 and 1 leave either out."""
    if _on_processor(logits):
        return _keep_by_values(logits, k, p)
    if 0 < k < logits.shape[-1]:
        logits = keep_top_k(logits, k)
    return keep_top_p(logits, p) if 0 < p < 1 else logits


def _on_processor(logits: Tensor) -> bool:
    """Whether nothing waits when values are looked at."""
    return logits.device.type == "cpu" and logits.dtype == torch.float32


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Remove everything strictly below the k-th largest logit; ties with it stay."""
    threshold = logits.topk(k, dim=-1).values[..., -1:]
    return logits.masked_fill(logits < threshold, -math.inf)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Remove the least likely tokens whose cumulative probability is <= 1 - p; the likeliest always stays."""
    ascending, order = logits.sort(dim=-1, stable=True)
    removed = _least_likely(ascending, p)
    return logits.masked_fill(removed.scatter(-1, order, removed), -math.inf)


def _least_likely(ascending: Tensor, p: float) -> Tensor:
    """Of logits in ascending order, the first ones, which top-p removes."""
    removed = ascending.softmax(-1).cumsum(-1) <= 1 - p
    removed[..., -1] = False
    return removed


def _keep_by_values(logits: Tensor, k: int, p: float) -> Tensor:
    """The same on the processor, where values alone are sorted many times as fast as values with their places."""
    ascending = _ascending(logits)
    removed = None
    if 0 < k < logits.shape[-1]:
        threshold = ascending[..., -k, None]
        removed = logits < threshold
        ascending = ascending.masked_fill(ascending < threshold, -math.inf)
    if 0 < p < 1:
        count = _least_likely(ascending, p).sum(-1, keepdim=True)
        smallest = ascending.gather(-1, count)  # that stays
        removed = logits < smallest
        tied = count - removed.sum(-1, keepdim=True)  # with it, that do not: the first of them
        if bool((tied > 0).any()):
            equal = logits == smallest
            removed |= equal & (equal.cumsum(-1) <= tied)
    return logits if removed is None else logits.masked_fill(removed, -math.inf)


def _ascending(logits: Tensor) -> Tensor:
    """The values of the last axis in ascending order."""
    return torch.from_numpy(np.sort(logits.detach().numpy(), axis=-1))
