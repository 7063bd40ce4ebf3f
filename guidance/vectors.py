"""Logits (B, T, V) as vectors, for methods that measure lengths and angles: without what changes no probability."""

from torch import Tensor

from .head import Head


def centred(logits: Tensor, head: Head) -> Tensor:
    """Each token's logits (B, T, V) without their mean; of bits, each bit's pair without its own."""
    parts = head.unflatten(logits)
    return (parts - parts.mean(-1, keepdim=True)).reshape(logits.shape)


def dot(one: Tensor, other: Tensor, whole: bool) -> Tensor:
    """Inner products of logits (B, T, V): of all tokens of a step together, (B, 1, 1), or of every token, (B, T, 1)."""
    return (one * other).sum((-2, -1) if whole else -1, keepdim=True)
