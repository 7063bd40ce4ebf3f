"""Which masked places of discrete diffusion are revealed at a step: the purity prior of Improved VQ-Diffusion (arXiv 2205.16007).

Letters: B images, N places, V tokens without the mask, whose number is V.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..guidance.head import LOWEST
from .draw import Noise

RELEASED = 1024  # places the authors' list of shares is for
AT_ONCE = 1024


@dataclass(frozen=True)
class Purity:
    """Settings of the prior.

    Attributes:
        shares: places to reveal at every step t, by t.
        places: (weights (B, N), how many of each image) -> that many different places of each, likelier ones more often.
        weight: how much surer the prediction of a sure place is made; 0 = not at all.
        even: all masked places are equally likely (the authors' rule 1), whatever the prediction.
        at_once: most places revealed from one prediction.
    """

    shares: tuple[int, ...]
    places: Callable[[Tensor, list[int]], list[Tensor]]
    weight: float = 1.0
    even: bool = False
    at_once: int = AT_ONCE


def draw_places(noise: Noise, weights: Tensor, counts: list[int]) -> list[Tensor]:
    """Different places of every image, drawn one after the other in proportion to weights (B, N): a race of exponentials."""
    times = noise.exponentials((weights.shape[1],), weights.device) / weights
    pairs = zip(times, counts, strict=True)
    return [row.topk(count, largest=False).indices for row, count in pairs]


@dataclass(frozen=True)
class Reveal:
    """How a run of discrete diffusion goes through its steps.

    Attributes:
        stride: steps gone back at once: 1 = all, 2 = every other (fast sampling of Improved VQ-Diffusion).
        purity: the surest places come first (its purity prior).
        weight: how much surer the purity prior makes sure places; 0 = only the order.
    """

    stride: int = 1
    purity: bool = False
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise ValueError(f"every n-th step: n must be 1 or more, not {self.stride}")
        if self.purity and self.stride > 1:
            raise ValueError(
                "the purity prior reveals its share at every step, so no step may be left out: set stride to 1, or turn"
                " purity off"
            )
        if not self.weight >= 0:
            raise ValueError(f"purity weight must be 0 or more, not {self.weight}")

    def visits(self, count: int) -> tuple[int, ...]:
        """Steps t of `count`, from the noisiest; the last one always."""
        visited = range(count - 1, -1, -self.stride)
        return tuple(visited) if visited[-1] == 0 else (*visited, 0)


def released_shares(steps: int, count: int) -> tuple[int, ...]:
    """How many of `count` places to reveal at every step t: the authors' list for 100 steps and 1024 places, else even ones.

    All of them by t = 1; the last step, an ordinary one, has none left to reveal.
    """
    if steps == 100 and count == RELEASED:
        return (1, 10, *(11, 10, 10) * 32, 11, 11)
    if steps == 1:
        return (count,)
    done = [
        count * (steps - t) // (steps - 1) for t in range(1, steps + 1)
    ]  # after going back to t - 1
    return (0, *(done[t - 1] - done[t] for t in range(1, steps)))


def scores(logs: Tensor) -> Tensor:
    """How sure every place is, (B, N): its likeliest token's probability over the image's largest."""
    best = logs.amax(-1).exp().clamp_max(1.0)
    return best / (best.amax(1, keepdim=True) + 1e-10)


def sharpened(logs: Tensor, score: Tensor, weight: float) -> Tensor:
    """Log-probabilities (B, N, V + 1) made surer where they are sure: softmax((1 + weight * score) l)."""
    if not weight:
        return logs
    return ((1 + score * weight)[..., None] * logs).softmax(-1).log().clamp(LOWEST, 0.0)


class Revealing:
    """One step under the prior: as many predictions as it takes to reveal its share."""

    def __init__(self, purity: Purity, t: int, batch: int) -> None:
        self.purity, self.wanted = purity, purity.shares[t]
        self.revealed = [0] * batch
        self.left = True

    @property
    def done(self) -> bool:
        """Whether every image has its share, or nothing is masked any more."""
        return min(self.revealed) >= self.wanted or not self.left

    def reveal(self, logs: Tensor, tokens: Tensor, draw: Callable[[Tensor], Tensor]) -> Tensor:
        """Tokens (B, N) after revealing some places, from the prediction's log-probabilities (B, N, V + 1)."""
        vocab, purity = logs.shape[-1] - 1, self.purity
        score = torch.ones_like(logs[..., 0]) if purity.even else scores(logs)
        candidates = draw(logs if purity.even else sharpened(logs, score, purity.weight))
        made, hidden = tokens.clone(), tokens == vocab
        counts = [self._count(image, int(n)) for image, n in enumerate(hidden.sum(1).tolist())]
        for image, at in enumerate(purity.places(score * hidden, counts)):
            made[image, at] = candidates[image, at]
        opened = (hidden & (made != vocab)).sum(1).tolist()
        self.revealed = [a + b for a, b in zip(self.revealed, opened, strict=True)]
        self.left = bool((made == vocab).any()) and any(opened)
        return made

    def _count(self, image: int, hidden: int) -> int:
        """How many places of an image come next; never so that a single one is left over."""
        open_still = self.wanted - self.revealed[image]
        count = min(open_still, self.purity.at_once)
        if open_still - count == 1:
            count = open_still
        return max(0, min(count, hidden))
