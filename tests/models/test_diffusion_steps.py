"""Which timesteps a respaced diffusion keeps, and its coefficients at the ends."""

from fractions import Fraction

import pytest
import torch
from ar_guidance.models.parts.diffusion import TRAINED, kept_steps, respaced


def summed(count: int) -> list[int]:
    """The definition: a stride added up in floating point, every sum rounded, halves to even."""
    sums = [0.0]
    while len(sums) < count:
        sums.append(sums[-1] + 999 / (count - 1))
    return [int(x) + (x % 1 > 0.5 or (x % 1 == 0.5 and int(x) % 2 == 1)) for x in sums]


@pytest.mark.parametrize("count", [2, 3, 8, 21, 23, 27, 35, 39, 43, 100, 250, 999, TRAINED])
def test_the_stride_is_added_up(count) -> None:
    kept = list(kept_steps(count))
    assert kept == summed(count)
    exact = [Fraction(999 * j, count - 1) for j in range(count)]
    assert all(
        abs(a - b) <= Fraction(1, 2) + Fraction(1, 10**9) for a, b in zip(kept, exact, strict=True)
    )


def test_the_sum_and_the_product_part_at_halves() -> None:
    assert kept_steps(21)[10] == 499 and round(10 * 999 / 20) == 500
    assert kept_steps(8) == (0, 143, 285, 428, 571, 714, 856, 999)


def test_a_single_step() -> None:
    assert kept_steps(1) == (0,)
    one = respaced(1)
    x, noise, variance = torch.tensor([0.5]), torch.tensor([0.1]), torch.tensor([-1.0])
    mean, deviation = one.predict(0, x, noise, variance)
    assert mean.isfinite().all() and deviation.isfinite().all()


@pytest.mark.parametrize("count", [0, -1, TRAINED + 1])
def test_counts_that_are_not_possible(count) -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        respaced(count)
