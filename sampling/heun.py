"""The sampler of EDM and EDM2 (arXiv 2206.00364, Algorithms 1 and 2): Heun's method on x' = (x - D(x; sigma)) / sigma.

    sigma_i = (a^(1/rho) + i/(N-1) (b^(1/rho) - a^(1/rho)))^rho,  a = sigma_max, b = sigma_min, i < N;  sigma_N = 0

Each step but the last, which ends at 0, evaluates D twice.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Denoiser(Protocol):
    """D: image (B, C, H, W) at a noise level, in step `index` -> the denoised image.

    `first`: the first of the step's two evaluations.
    """

    def __call__(self, x: Tensor, sigma: Tensor, index: int, first: bool) -> Tensor: ...


@dataclass(frozen=True)
class Heun:
    """Settings of a run.

    Attributes:
        steps: N.
        sigma_min, sigma_max: last and first noise level.
        rho: how much denser the levels lie at the end.
        churn: noise that is put back on the way, S_churn; 0 = none, and the start noise decides everything.
        churn_min, churn_max: noise levels between which it is.
        churn_noise: its standard deviation.

    Raises:
        ValueError: a setting out of range.
    """

    steps: int = 32
    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0
    churn: float = 0.0
    churn_min: float = 0.0
    churn_max: float = math.inf
    churn_noise: float = 1.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be 1 or more, not {self.steps}")
        if not 0 < self.sigma_min < self.sigma_max < math.inf:
            raise ValueError(
                f"sigma_min ({self.sigma_min:g}) must be above 0 and below sigma_max ({self.sigma_max:g})"
            )
        if not 0 < self.rho < math.inf:
            raise ValueError(f"rho must be above 0, not {self.rho:g}")
        if not (0 <= self.churn < math.inf and 0 <= self.churn_noise < math.inf):
            raise ValueError("churn and churn_noise must be 0 or more")
        if not 0 <= self.churn_min <= self.churn_max:
            raise ValueError(
                f"churn_min ({self.churn_min:g}) must not lie above churn_max ({self.churn_max:g})"
            )

    def sigmas(self) -> Tensor:
        """Noise levels of the run, (N + 1,) fp32, falling to 0."""
        share = torch.arange(self.steps, dtype=torch.float32) / max(self.steps - 1, 1)
        first, last = (sigma ** (1 / self.rho) for sigma in (self.sigma_max, self.sigma_min))
        return torch.cat([(first + share * (last - first)) ** self.rho, torch.zeros(1)])

    def raised(self, sigma: float) -> float:
        """Factor by which the noise level is raised before a step from it; 1 = not at all."""
        if not self.churn or not self.churn_min <= sigma <= self.churn_max:
            return 1.0
        return 1 + min(self.churn / self.steps, math.sqrt(2) - 1)


@dataclass(frozen=True)
class Progress:
    """A step that has been made.

    Attributes:
        index, count: the step, and how many there are.
        sigma: the noise level it started from.
        x: the image at the next level, (B, C, H, W).
        denoised: D at the start of the step.
    """

    index: int
    count: int
    sigma: float
    x: Tensor
    denoised: Tensor


def generate(
    denoise: Denoiser,
    noise: Tensor,
    settings: Heun,
    on_step: Callable[[Progress], None] = lambda progress: None,
    fresh: Callable[[], Tensor] | None = None,
) -> Tensor:
    """Run the sampler.

    Args:
        denoise: D, with whatever guidance there is.
        noise: unit Gaussian start noise (B, C, H, W), fp32.
        settings: noise levels and churn.
        on_step: called after every step.
        fresh: more noise of the same shape, for churn.

    Returns:
        The image (B, C, H, W), in the network's units.
    """
    levels = settings.sigmas().to(noise.device)
    x = noise.float() * levels[0]
    for index in range(settings.steps):
        sigma, following = levels[index], levels[index + 1]
        factor = settings.raised(sigma.item())
        if factor > 1 and fresh is not None:
            raised = sigma * factor
            x = x + (raised**2 - sigma**2).sqrt() * settings.churn_noise * fresh()
            sigma = raised
        denoised = denoise(x, sigma, index, True)
        slope = (x - denoised) / sigma
        ahead = x + (following - sigma) * slope
        if index < settings.steps - 1:
            second = (ahead - denoise(ahead, following, index, False)) / following
            ahead = x + (following - sigma) * (slope + second) / 2
        x = ahead
        on_step(Progress(index, settings.steps, levels[index].item(), x, denoised))
    return x
