"""Ancestral diffusion sampling in a few of 1000 steps (improved DDPM, arXiv 2102.09672), cosine schedule, learnt variance."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .settings import whole

TRAINED = 1000


@dataclass(frozen=True)
class Respaced:
    """Coefficients of the kept steps in ascending order, float64: computed once, used as fp32.

    a_bar: product of (1 - beta); the posterior's mean is c1 x0 + c2 x, its log variance clipped at step 0.
    """

    timesteps: tuple[int, ...]  # of the 1000
    betas: Tensor
    alphas_cumprod: Tensor
    posterior_mean_coef1: Tensor
    posterior_mean_coef2: Tensor
    posterior_log_variance_clipped: Tensor
    sqrt_recip_alphas_cumprod: Tensor
    sqrt_recipm1_alphas_cumprod: Tensor

    def predict(
        self, step: int, x: Tensor, noise: Tensor, variance: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the next x, from the noise and variance value (-1..1) the network estimates."""
        a, b = (
            _number(self.sqrt_recip_alphas_cumprod, step),
            _number(self.sqrt_recipm1_alphas_cumprod, step),
        )
        x0 = (a * x - b * noise).clamp(-1, 1)
        c1 = _number(self.posterior_mean_coef1, step)
        c2 = _number(self.posterior_mean_coef2, step)
        w = (variance + 1) / 2
        high = math.log(self.betas[step].item())
        low = self.posterior_log_variance_clipped[step].item()
        return c1 * x0 + c2 * x, (0.5 * (w * high + (1 - w) * low)).exp()


def _number(values: Tensor, step: int) -> float:
    """A coefficient rounded to fp32, as the reference extracts it."""
    return values[step].float().item()


def respaced(count: int) -> Respaced:
    """The schedule for `count` sampling steps."""
    kept = kept_steps(count)
    whole = torch.cumprod(1 - cosine_betas(), 0)[list(kept)]
    before = torch.cat([whole.new_ones(1), whole[:-1]])
    betas = 1 - whole / before
    cumprod = torch.cumprod(1 - betas, 0)
    before = torch.cat([cumprod.new_ones(1), cumprod[:-1]])
    variance = betas * (1 - before) / (1 - cumprod)
    second = variance[1:2] if count > 1 else betas  # a single step adds no noise
    return Respaced(
        timesteps=kept,
        betas=betas,
        alphas_cumprod=cumprod,
        posterior_mean_coef1=betas * before.sqrt() / (1 - cumprod),
        posterior_mean_coef2=(1 - before) * (1 - betas).sqrt() / (1 - cumprod),
        posterior_log_variance_clipped=torch.cat([second, variance[1:]]).log(),
        sqrt_recip_alphas_cumprod=(1 / cumprod).sqrt(),
        sqrt_recipm1_alphas_cumprod=(1 / cumprod - 1).sqrt(),
    )


def kept_steps(count: int) -> tuple[int, ...]:
    """The timesteps that `count` sampling steps stop at: a stride of 999 / (count - 1), added up and rounded.

    The sum is what the reference rounds; the product j 999 / (count - 1) rounds differently at halves (500 of 21 steps).

    Raises:
        ValueError: more steps than there are, or none.
    """
    if not 1 <= count <= TRAINED:
        raise ValueError(f"a diffusion of {count} steps is not possible: 1 to {TRAINED}")
    stride, place, kept = (TRAINED - 1) / max(count - 1, 1), 0.0, []
    for _ in range(count):
        kept.append(round(place))
        place += stride
    return tuple(kept)


def step_count(written: object) -> int:
    """Sampling steps as a release's settings write them, "8".

    Raises:
        ValueError: one of the forms that keep other timesteps ("ddim8", "4,4"), which no release uses.
    """
    if written is None:
        raise ValueError(
            "its settings ask for no diffusion steps (num_sampling_steps), and only a plain number is supported"
        )
    try:
        return whole({"num_sampling_steps": written}, "num_sampling_steps", 8, 1, 1000)
    except ValueError:
        raise ValueError(
            f"its settings ask for {written!r} diffusion steps (num_sampling_steps), and only a plain number is supported"
        ) from None


def cosine_betas() -> Tensor:
    """beta_i = min(1 - a((i+1)/1000) / a(i/1000), 0.999), a(u) = cos^2((u + 0.008) / 1.008 pi / 2); float64."""

    def level(u: float) -> float:
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = [1 - level((i + 1) / TRAINED) / level(i / TRAINED) for i in range(TRAINED)]
    return torch.tensor([min(beta, 0.999) for beta in betas], dtype=torch.float64)
