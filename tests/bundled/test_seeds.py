"""Numbers measured once per seed: jackknife, intervals, differences."""

import numpy as np
import pytest
import torch
from ar_guidance.tools.bundled.metrics import Gaussian, frechet
from ar_guidance.tools.bundled.seeds import difference, estimate, jackknife, over_strengths
from hypothesis import given
from hypothesis import strategies as st

numbers = st.lists(st.floats(-100, 100), min_size=2, max_size=9)


@given(numbers)
def test_the_jackknife_of_a_mean_is_the_values_themselves(values) -> None:
    assert jackknife(values, lambda parts: float(np.mean(parts))) == pytest.approx(values, abs=1e-6)


def test_the_jackknife_takes_off_what_shrinks_like_one_over_the_count() -> None:
    values = jackknife([3.0] * 5, lambda parts: 2.0 + 7.0 / len(parts))
    assert values == pytest.approx([2.0] * 5)


def test_frechet_distance_of_few_images_is_corrected() -> None:
    """Features of the very distribution they are compared with: the distance is 0, but few images seem far off."""
    generator = torch.Generator().manual_seed(0)
    truth = Gaussian(np.zeros(16), np.eye(16))
    parts = [torch.randn(60, 16, generator=generator) for _ in range(5)]

    def distance(some: list[torch.Tensor]) -> float:
        return frechet(Gaussian.of(torch.cat(some)), truth)

    corrected = estimate(jackknife(parts, distance))
    assert distance(parts) > 0.2
    assert abs(corrected.mean) < 0.06 and not corrected.differs


def test_frechet_distance_of_two_gaussians() -> None:
    a = Gaussian(np.array([0.0, 1.0]), np.diag([1.0, 4.0]))
    b = Gaussian(np.array([3.0, 1.0]), np.diag([9.0, 4.0]))
    assert frechet(a, b) == pytest.approx(9 + 4)  # (3 - 0)^2 + (1 - 3)^2
    assert frechet(a, a) == pytest.approx(0, abs=1e-9)
    flat = Gaussian(np.array([0.0, 1.0]), np.diag([1.0, 0.0]))  # a covariance without full rank
    assert frechet(a, flat) == pytest.approx(4.0) == frechet(flat, a)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        found = estimate(generator.normal(1.0, 2.0, 5).tolist())
        held += abs(found.mean - 1.0) <= found.half
    assert 0.93 < held / 1000 < 0.97


def test_differences_seed_by_seed_do_not_see_what_seeds_share() -> None:
    seeds = [0.0, 5.0, -3.0, 9.0]
    found = difference([s + 1.0 for s in seeds], seeds)
    assert found.mean == pytest.approx(1.0) and found.half == pytest.approx(0) and found.differs
    unpaired = difference([s + 1.0 for s in seeds], seeds[:3])
    assert unpaired.mean == pytest.approx(2.75 + 1 - 2 / 3) and not unpaired.differs


def test_one_seed_knows_no_interval() -> None:
    assert np.isnan(estimate([1.0]).half) and not estimate([1.0]).differs


def test_mean_over_strengths_keeps_the_seeds_all_have() -> None:
    assert over_strengths([[1.0, 2.0, 3.0], [3.0, 4.0]]) == [2.0, 3.0]
