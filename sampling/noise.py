"""Addressed noise: the number of (seed, image, position, code) is a pure function, so that a position can be drawn again.

A token drawn as argmax(logits + g), g = -log(-log u) with one u per code (Gumbel-max), has the probabilities
softmax(logits) and depends on nothing but its own logits and address: not on the batch, nor on what was drawn before
or how often. Integers alone decide u, so every device finds the same.

u: SplitMix64 (Steele, Lea, Flood 2014), the key of (seed, image, position) as its state and the code as the number of
its step. Letters: B images, T positions, V codes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

GOLDEN, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
MASK = (1 << 64) - 1
AHEAD, CACHED = 32, 1 << 16  # positions, numbers: making few at a time takes nearly as long
BITS = 53  # of u: as many as a double holds


def mix(x: int) -> int:
    """SplitMix64's finaliser: 64 bits to 64 bits, one to one."""
    x = ((x ^ (x >> 30)) * FIRST) & MASK
    x = ((x ^ (x >> 27)) * SECOND) & MASK
    return x ^ (x >> 31)


def stream_key(seed: int, image: int) -> int:
    """64 bits from two integers, so that neighbouring seeds share no images."""
    return mix((seed * GOLDEN + image * FIRST + SECOND) & MASK)


def _signed(x: int) -> int:
    """The same 64 bits as the integers of a tensor count them."""
    return x - (1 << 64) if x >> 63 else x


def _mixed(x: Tensor) -> Tensor:
    """`mix` of every element, (...) int64, in place; tensors have no shift that fills with zeros."""
    for shift, factor in ((30, FIRST), (27, SECOND), (31, 1)):
        x ^= (x >> shift).bitwise_and_((1 << (64 - shift)) - 1)
        x *= _signed(factor)
    return x


class AddressedNoise:
    """Gumbel noise of some images.

    Args:
        keys: of every image, see `stream_key`: image i of a batch has the noise it has alone.
    """

    def __init__(self, keys: Sequence[int]) -> None:
        self.keys = keys
        self._first, self._kept = 0, torch.empty(len(self.keys), 0, 0)

    def gumbel(self, first: int, count: int, vocab: int, device: torch.device) -> Tensor:
        """(B, count, V) single precision, of the positions `first`, `first` + 1, ...; read-only.

        What the last call made is used again where it covers the same positions: windows of guesses overlap.
        """
        end, kept = first + count, self._kept
        if kept.shape[2] != vocab or kept.device != device or not self._covers(first):
            self._first, kept = first, torch.empty(len(self.keys), 0, vocab, device=device)
        kept = kept[:, first - self._first :]
        self._first, missing = first, end - first - kept.shape[1]
        if missing > 0:  # some ahead, as many as fit into the processor's cache
            ahead = max(missing, min(AHEAD, CACHED // (len(self.keys) * vocab)))
            new = self._make(end - missing, ahead, vocab, device)
            kept = torch.cat((kept, new), dim=1) if kept.shape[1] else new
        self._kept = kept
        return kept[:, :count]

    def _covers(self, position: int) -> bool:
        return self._first <= position < self._first + self._kept.shape[1]

    def _make(self, first: int, count: int, vocab: int, device: torch.device) -> Tensor:
        places = range(first + 1, first + count + 1)
        keys = [
            [_signed(mix(key ^ mix(place * GOLDEN & MASK))) for place in places]
            for key in self.keys
        ]
        codes = torch.arange(1, vocab + 1, device=device) * _signed(GOLDEN)
        bits = _mixed(torch.tensor(keys, device=device)[..., None] + codes)
        top = (bits >> (64 - BITS)).bitwise_and_((1 << BITS) - 1)
        # Small u keep their relative precision: the largest noise, which decides, is exact.
        small = (top.float() + 0.5).mul_(2.0**-BITS).clamp_max_(1 - 2.0**-24)
        return torch.log1p(small.neg_()).neg_().log_().neg_()
