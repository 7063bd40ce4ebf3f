"""A meeting point of curves is told from chance: images are resampled, curves are tested."""

import math

import pytest
import torch
from ar_guidance.analysis.crossing import Probe, conclude, image_rows, search
from ar_guidance.analysis.permutation import CHANCE, FEWEST, chance_of, middle_share, resampled
from hypothesis import given, settings
from hypothesis import strategies as st


def runs(images: int, rise: float, fall: float, noise: float, seed: int = 0):
    """Probes whose evenness falls and divergence rises with the scale, every image with noise of its own."""

    def probe(scale: float) -> Probe:
        generator = torch.Generator().manual_seed(seed * 1000 + round(scale * 100))
        scatter = noise * torch.randn(images, 2, generator=generator, dtype=torch.float64)
        even, apart = 0.95 - fall * scale + scatter[:, 0], 0.1 + rise * scale + scatter[:, 1]
        singles = tuple(zip(even.tolist(), apart.tolist(), strict=True))
        return Probe(scale, float(even.mean()), float(apart.mean()), singles)

    return probe


def test_curves_that_move_meet_for_sure() -> None:
    found = search(runs(24, 0.05, 0.01, 0.002), 1, 8, 7)
    assert found.crosses and found.sure and not found.in_doubt
    assert found.interval is not None
    low, high = found.interval
    assert low <= found.scale <= high and high - low < 1
    assert "resamplings of 24 images" in found.message and "noise" not in found.message


@pytest.mark.parametrize("seed", range(12))
def test_pure_noise_is_never_sold_as_a_result(seed) -> None:
    """Stretched to its own range noise crosses nearly always; it must be called noise."""
    found = search(runs(16, 0.0, 0.0, 0.01, seed), 1, 8, 7)
    assert not found.sure
    if found.crosses:
        assert found.in_doubt and found.message.startswith("Within noise: ")


def test_one_curve_that_only_trembles_is_named() -> None:
    found = search(runs(32, 0.05, 0.0, 0.004, 3), 1, 8, 7)
    if found.crosses:
        assert found.message.startswith("Within noise: evenness moves no more than chance")
    assert not found.sure


def test_few_images_cannot_be_told_from_chance() -> None:
    found = search(runs(FEWEST - 1, 0.05, 0.01, 0.0), 1, 8, 7)
    assert found.crosses and not found.sure and "too few" in found.message
    assert search(runs(FEWEST, 0.05, 0.01, 0.0), 1, 8, 7).sure


def test_images_without_a_subject_are_left_out() -> None:
    whole = [runs(8, 0.05, 0.01, 0.001)(scale) for scale in (1.0, 3.0, 6.0, 8.0)]
    holed = [Probe(p.scale, p.evenness, p.divergence, (None, *p.images[1:])) for p in whole]
    assert image_rows(holed).shape == (2, 7, 4)
    assert torch.equal(image_rows(holed), image_rows(whole)[:, 1:])
    none = [Probe(p.scale, p.evenness, p.divergence, (None,) * 8) for p in whole]
    assert "0 images" in conclude(none, own_ranges=True).message


def test_compared_as_they_are_a_still_curve_can_be_met() -> None:
    probe = runs(16, 0.2, 0.0, 0.001)
    found = search(probe, 1, 8, 8, own_ranges=False)
    assert found.sure and found.scale == pytest.approx(4.25, abs=0.1)


def test_without_single_images_nothing_is_judged() -> None:
    found = search(lambda s: Probe(s, 0.9 - 0.01 * s, 0.1 + 0.01 * s), 1, 8, 6)
    assert found.crosses and not found.sure and not found.in_doubt and found.interval is None


# --- the test itself --------------------------------------------------------------------------------------------------


def test_chance_is_called_a_finding_about_as_often_as_promised() -> None:
    """Smooth noise, as of neighbouring scales that resemble each other."""
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(300, 10, 7, generator=generator, dtype=torch.float64).cumsum(-1)
    called = sum(chance_of(row) <= CHANCE for row in rows) / len(rows)
    assert called < 0.1


@settings(deadline=None, max_examples=25)
@given(st.integers(FEWEST, 20), st.integers(2, 9), st.floats(0.01, 10))
def test_a_shared_movement_is_found_whatever_its_size(images, scales, size) -> None:
    generator = torch.Generator().manual_seed(images)
    level = torch.randn(images, 1, generator=generator, dtype=torch.float64)
    rows = level + size * torch.linspace(0, 1, scales, dtype=torch.float64)
    assert chance_of(rows) <= CHANCE  # images differ, but all move alike
    assert chance_of(level.expand(images, scales)) == 1.0


def test_resampling_weights() -> None:
    weights = resampled(9)
    assert torch.allclose(weights.sum(1), torch.ones(len(weights), dtype=torch.float64))
    assert torch.equal((weights * 9).round() / 9, weights)
    assert weights.mean(0).sub(1 / 9).abs().max() < 0.02
    assert middle_share([float(v) for v in range(101)], 0.9) == pytest.approx((5.0, 95.0))
    assert not math.isnan(sum(middle_share([1.0], 0.9)))
