"""Spectra of what a guidance changes, and of images (SSG, arXiv 2602.05534, section 3.2 and App. F).

Letters: B images, (h, w) grid of a scale, V vocabulary, R = min(h, w) // 2 + 1 rings. A ring holds the frequencies whose distance from zero,
in cycles per image, rounds to the same whole number; those beyond the shorter axis's own are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..guidance.base import Guidance, RunInfo
from ..guidance.chain import ActiveChain, Chain
from ..guidance.record import Grid

LEAST = 1e-6  # amplitudes below this share of the largest count as it: the logarithm of nothing is not asked for
AT_ONCE = 512  # channels that are transformed together
ONE_SCALE = (
    "a spectrum of what guidance changes shows each scale beside the one before it, and this run has a single scale:"
    " use a model that draws scale by scale"
)


def rings(grid: Grid) -> Tensor:
    """(h, w // 2 + 1) ring of every frequency of a real transform."""
    height, width = grid
    down = torch.fft.fftfreq(height, 1 / height)[:, None]
    across = torch.fft.rfftfreq(width, 1 / width)[None]
    return (down**2 + across**2).sqrt().round().long()


def over_rings(values: Tensor, grid: Grid) -> Tensor:
    """Mean of values (..., h, w // 2 + 1) over every ring: (..., R)."""
    ring, count = rings(grid).flatten(), min(grid) // 2 + 1
    inside = ring < count
    flat, ring = values.flatten(-2)[..., inside], ring[inside].to(values.device)
    sums = flat.new_zeros(*flat.shape[:-1], count).index_add_(-1, ring, flat)
    return sums / torch.bincount(ring, minlength=count)


def log_amplitude(logits: Tensor, grid: Grid) -> Tensor:
    """Mean over images and vocabulary of log |F| on every ring: logits (B, h w, V) -> (R,)."""
    sums, count = 0.0, logits.shape[-1]
    for part in logits.float().split(AT_ONCE, dim=-1):
        maps = part.transpose(1, 2).unflatten(-1, grid)
        amplitude = torch.fft.rfft2(maps, norm="ortho").abs()
        amplitude = amplitude.clamp_min(LEAST * float(amplitude.amax()) or LEAST)
        sums = sums + amplitude.log().sum(1).mean(0)
    return over_rings(torch.as_tensor(sums) / count, grid).cpu()


def nyquist(before: Grid) -> float:
    """Highest frequency, in cycles per image, that a scale of this grid can show."""
    return min(before) / 2


@dataclass(frozen=True)
class Change:
    """What refining guidance did to the spectrum of one scale.

    Attributes:
        grid: of the scale.
        nyquist: of the scale before it, in cycles per image.
        change: for every ring, log amplitude with less that without it.
    """

    grid: Grid
    nyquist: float
    change: tuple[float, ...]

    def beyond(self) -> float | None:
        """Mean change above the Nyquist frequency of the scale before; None if no ring lies there."""
        return _mean([c for ring, c in enumerate(self.change) if ring > self.nyquist])

    def below(self) -> float | None:
        """Mean change up to it, the constant left out; None if no ring lies there."""
        return _mean([c for ring, c in enumerate(self.change) if 0 < ring <= self.nyquist])


def unrefined(guidances: Sequence[Guidance]) -> Chain:
    """The chain without its refining guidances (SSG), which is what their change is told from."""
    return Chain(tuple(guidance for guidance in guidances if guidance.combines))


def check_scales(run: RunInfo) -> None:
    """Raise ValueError where no scale has another before it."""
    if run.kind != "scale" or run.count < 2:
        raise ValueError(ONE_SCALE)


def change_at(k: int, guided: Tensor, plain: Tensor, run: RunInfo) -> Change:
    """What happened at scale k >= 1 of a run.

    Args:
        guided: logits (B, h w, V) as they were drawn from.
        plain: the same without the refining guidances.
    """
    grid = run.grids[k]
    apart = log_amplitude(guided, grid) - log_amplitude(plain, grid)
    return Change(grid, nyquist(run.grids[k - 1]), tuple(apart.tolist()))


@dataclass(frozen=True)
class SpectrumWatch:
    """Listens to the steps of a run and keeps what the refining guidances changed.

    Attributes:
        run: what is listened to.
        plain: the same chain without them.
        found: of every scale but the first.
    """

    run: RunInfo
    plain: ActiveChain
    found: list[Change] = field(default_factory=list)

    @classmethod
    def of(cls, guidances: Sequence[Guidance], run: RunInfo) -> "SpectrumWatch":
        """For a run; refuses one of a single scale with a ValueError."""
        check_scales(run)
        return cls(run, unrefined(guidances).begin(run))

    def __call__(self, k: int, cond: Tensor, uncond: Tensor | None, guided: Tensor) -> None:
        """Step k: the raw branches, and the logits that were drawn from, each (B, h w, V)."""
        if k > 0:
            needed = uncond if self.plain.plans[k].combining else None
            plain = self.plain.apply(k, cond, needed)
            self.found.append(change_at(k, guided, plain, self.run))


def radial_amplitude(images: Tensor) -> Tensor:
    """Mean amplitude of the brightness of images (B, H, W, 3) in 0-1 on every ring, (R,) (Fig. 7)."""
    weights = images.new_tensor([0.299, 0.587, 0.114])
    brightness = (images.float() * weights).sum(-1)
    grid = (images.shape[1], images.shape[2])
    return over_rings(torch.fft.rfft2(brightness, norm="ortho").abs().mean(0), grid)


def amplitude_ratio(images: Tensor, reference: Tensor) -> Tensor:
    """`radial_amplitude` of images as a share of that of reference images of the same size: 1 = alike.

    Raises:
        ValueError: the sizes differ, so that a ring is not the same frequency.
    """
    if images.shape[1:3] != reference.shape[1:3]:
        sizes = [f"{x.shape[2]}x{x.shape[1]}" for x in (images, reference)]
        raise ValueError(
            f"the images are {sizes[0]} and the reference {sizes[1]}: spectra are compared at one size; scale one of them"
        )
    least = torch.finfo(torch.float32).tiny
    return radial_amplitude(images) / radial_amplitude(reference).clamp_min(least)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
