"""From guided logits to tokens: filters, and one random stream per image.

Order: temperature, top-k, top-p, min-p, then one draw per position by inverse CDF. All after the whole guidance chain.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from .entropy import EntropyTemperature
from .noise import AddressedNoise, stream_key
from .truncation import keep_likeliest


@dataclass(frozen=True)
class Filters:
    """Which tokens may be drawn.

    Attributes:
        temperature: logits are divided by it; 0 = always the likeliest token (greedy).
        top_k: keep the k largest logits and all ties with the k-th; 0 = all.
        top_p: keep the smallest set of likeliest tokens whose probability reaches p (the one that crosses included); 1 or 0 = all.
        min_p: drop tokens less likely than min_p x the likeliest; 0 = none.
        by_entropy: how much the temperature of every token differs; None = not at all.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    by_entropy: EntropyTemperature | None = None

    def __post_init__(self) -> None:
        if not (self.temperature >= 0 and math.isfinite(self.temperature)):
            raise ValueError(f"temperature must be 0 or more, not {self.temperature}")
        if self.top_k < 0:
            raise ValueError(f"top_k must be 0 (off) or more, not {self.top_k}")
        if not (0 <= self.top_p <= 1 and 0 <= self.min_p <= 1):
            raise ValueError(f"top_p {self.top_p} and min_p {self.min_p} must lie between 0 and 1")

    def apply(self, logits: Tensor) -> Tensor:
        """Filtered copy of logits (..., V): -inf where a token is removed. Temperature 0 is not applied here."""
        if self.by_entropy is not None:
            kept = replace(self, temperature=1.0, by_entropy=None).apply(logits)
            logits = logits / (self.by_entropy.factor(kept) * (self.temperature or 1.0))
        elif self.temperature not in (0.0, 1.0):
            logits = logits / self.temperature
        if 0 < self.top_k < logits.shape[-1] or 0 < self.top_p < 1:
            logits = keep_likeliest(logits, self.top_k, self.top_p)
        if self.min_p > 0:
            floor = logits.amax(-1, keepdim=True) + math.log(self.min_p)
            logits = logits.masked_fill(logits < floor, -math.inf)
        return logits


def inverse_cdf(logits: Tensor, uniforms: Tensor) -> Tensor:
    """Tokens (...) drawn from softmax(logits (..., V)) with one uniform number in [0, 1) each."""
    cdf = logits.softmax(-1).cumsum(-1)
    total = cdf[..., -1]
    # Rounding may lift u * total to total, where no token is; the number just below it is the last possible token.
    level = torch.minimum(uniforms * total, torch.nextafter(total, torch.zeros_like(total)))
    tokens = torch.searchsorted(cdf, level[..., None], right=True)[..., 0]
    return tokens.clamp_max(
        logits.shape[-1] - 1
    )  # NaN finds no place: the loop refuses it at its end


def smooth_weights(logits: Tensor, exponentials: Tensor, position: float) -> Tensor:
    """VAR's `more_smooth`: how much of every code vector, (B, T, V), instead of one drawn (Gumbel-softmax).

    softmax((logits (1 + r) + g) / tau), g = -log(Exp(1) draws), tau = max(0.27 (1 - 0.95 r), 0.005).
    `logits` (B, T, V) as they are to be mixed, `position` r = k/(K-1).
    """
    tau = max(0.27 * (1 - position * 0.95), 0.005)
    return gumbel_softmax(logits, exponentials, 1 + position, tau)


def gumbel_softmax(logits: Tensor, exponentials: Tensor, sharpness: float, tau: float) -> Tensor:
    """softmax((logits * sharpness - log E) / tau) for E ~ Exp(1), all (..., V)."""
    return ((logits * sharpness - exponentials.log()) / tau).softmax(-1)


class Streams:
    """One CPU generator per image, seeded from (seed, image index): image i of a batch equals image i alone."""

    def __init__(self, seed: int, batch: int, first: int = 0) -> None:
        self._seed((seed, first + image) for image in range(batch))

    @classmethod
    def of(cls, pairs: Iterable[tuple[int, int]]) -> "Streams":
        """The streams of any images: a (seed, image index) each."""
        streams = cls(0, 0)
        streams._seed(pairs)
        return streams

    def _seed(self, pairs: Iterable[tuple[int, int]]) -> None:
        keys = [stream_key(seed, image) for seed, image in pairs]
        self.addressed = AddressedNoise(keys)
        self.generators = [torch.Generator().manual_seed(key >> 1) for key in keys]

    def gumbel(self, first: int, count: int, vocab: int, device: torch.device) -> Tensor:
        """(B, count, V) Gumbel noise of the positions from `first` on, see `AddressedNoise`."""
        return self.addressed.gumbel(first, count, vocab, device)

    def uniforms(self, shape: tuple[int, ...], device: torch.device) -> Tensor:
        """(B, *shape) numbers in [0, 1)."""
        return self._stack(
            [torch.rand(shape, generator=generator) for generator in self.generators], device
        )

    def exponentials(self, shape: tuple[int, ...], device: torch.device) -> Tensor:
        """(B, *shape) draws from Exp(1)."""
        draws = [torch.empty(shape).exponential_(generator=g) for g in self.generators]
        return self._stack(draws, device)

    def normals(self, shape: tuple[int, ...], device: torch.device) -> Tensor:
        """(B, *shape) standard normal numbers."""
        return self._stack([torch.randn(shape, generator=g) for g in self.generators], device)

    @staticmethod
    def _stack(draws: list[Tensor], device: torch.device) -> Tensor:
        return torch.stack(draws).to(device, non_blocking=True)


class Noise(Protocol):
    """Where random numbers come from: image i's are its own. `Streams`, or recorded ones."""

    def uniforms(self, shape: tuple[int, ...], device: torch.device) -> Tensor: ...

    def exponentials(self, shape: tuple[int, ...], device: torch.device) -> Tensor: ...

    def normals(self, shape: tuple[int, ...], device: torch.device) -> Tensor: ...

    def gumbel(self, first: int, count: int, vocab: int, device: torch.device) -> Tensor: ...


class TokenSampler(Protocol):
    """Turns guided logits (B, T, V) of step `step` into tokens (B, T); (B, T, D, 2) into bits (B, T, D).

    Token-wise: of the positions `step`, `step` + 1, ...
    """

    def __call__(self, logits: Tensor, step: int = 0) -> Tensor: ...


@dataclass(frozen=True)
class StreamSampler:
    """The ordinary drawer: filters, then one uniform number of the image's own stream per position.

    `filters`: one for the whole run, or a sequence with one per step (Infinity's tau list, HART's top-k).
    """

    filters: Filters | Sequence[Filters]
    streams: Noise

    def __call__(self, logits: Tensor, step: int = 0) -> Tensor:
        filters = self.at(step)
        if filters.temperature == 0:
            return logits.argmax(-1)
        uniforms = self.streams.uniforms(tuple(logits.shape[1:-1]), logits.device)
        return inverse_cdf(filters.apply(logits), uniforms)

    def at(self, step: int) -> Filters:
        """The filters of a step."""
        return self.filters if isinstance(self.filters, Filters) else self.filters[step]


@dataclass(frozen=True)
class AddressedSampler:
    """The token-wise drawer: filters, then argmax(logits + noise); the same token whenever a position is drawn again."""

    filters: Filters
    noise: Noise

    def __call__(self, logits: Tensor, step: int = 0) -> Tensor:
        if self.filters.temperature == 0:
            return logits.argmax(-1)
        count, vocab = logits.shape[1:]
        return (
            self.filters.apply(logits) + self.noise.gumbel(step, count, vocab, logits.device)
        ).argmax(-1)
