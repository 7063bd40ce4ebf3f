"""A meeting point of curves is told from chance: images are resampled, curves are tested."""

import math

import pytest
import torch
from ar_guidance.analysis.crossing import Probe, conclude, image_rows, on_grid, place_of, search
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
    found = search(runs(24, 0.12, 0.05, 0.002), 1, 8, 7)
    assert found.crosses and found.sure and not found.in_doubt
    assert found.scale == pytest.approx(5.0, abs=0.1)
    assert found.interval is not None
    low, high = found.interval
    assert low <= found.scale <= high and high - low < 0.5
    assert "resamplings of 24 images" in found.message and "noise" not in found.message


@pytest.mark.parametrize("seed", range(12))
def test_pure_noise_is_never_sold_as_a_result(seed) -> None:
    """Stretched to its own range noise crosses nearly always; it must be called noise."""
    found = search(runs(16, 0.0, 0.0, 0.01, seed), 1, 8, 7, own_ranges=True)
    assert not found.sure
    if found.crosses:
        assert found.in_doubt and found.message.startswith("Within noise: ")
    assert not search(runs(16, 0.0, 0.0, 0.5, seed), 1, 8, 7).sure


def test_one_curve_that_only_trembles_is_named() -> None:
    found = search(runs(32, 0.05, 0.0, 0.004, 3), 1, 8, 7, own_ranges=True)
    if found.crosses:
        assert found.message.startswith("Within noise: evenness moves no more than chance")
    assert not found.sure


def test_a_point_that_depends_on_the_range_is_never_sure() -> None:
    found = search(runs(24, 0.05, 0.01, 0.0001), 1, 8, 7, own_ranges=True)
    assert found.crosses and not found.sure and "the range makes them meet" in found.message


def test_a_point_that_few_images_move_about_is_not_sure_and_says_how_many_are_needed() -> None:
    few = search(runs(12, 0.12, 0.05, 0.3), 1, 16, 7)
    assert few.crosses and not few.sure and "would settle it" in few.message
    assert int(few.message.split("about ")[1].split()[0]) > 12


def test_few_images_cannot_be_told_from_chance() -> None:
    found = search(runs(FEWEST - 1, 0.12, 0.05, 0.0), 1, 8, 7)
    assert found.crosses and not found.sure and "too few" in found.message
    assert search(runs(FEWEST, 0.12, 0.05, 0.0), 1, 8, 7).sure


def test_images_without_a_subject_are_left_out() -> None:
    whole = [runs(8, 0.12, 0.05, 0.001)(scale) for scale in (1.0, 3.0, 6.0, 8.0)]
    holed = [Probe(p.scale, p.evenness, p.divergence, (None, *p.images[1:])) for p in whole]
    assert image_rows(holed).shape == (2, 7, 4)
    assert torch.equal(image_rows(holed), image_rows(whole)[:, 1:])
    none = [Probe(p.scale, p.evenness, p.divergence, (None,) * 8) for p in whole]
    assert "0 images" in conclude(none, own_ranges=True).message


def test_a_still_curve_can_be_met() -> None:
    found = search(runs(16, 0.2, 0.0, 0.001), 1, 8, 8)
    assert found.sure and found.scale == pytest.approx(4.25, abs=0.1)


# --- the range that is searched ---------------------------------------------------------------------------------------

RANGES = ((1.0, 8.0), (1.0, 16.0), (0.5, 32.0), (2.0, 7.0))


@pytest.mark.parametrize("slope", [0.1, 0.2, 0.35])
def test_the_answer_does_not_depend_on_the_range(slope) -> None:
    """Curves of the logarithm, as section 6.3 has them: improving at a falling rate."""
    meets = math.exp(0.4 / slope) if slope > 0.2 else 5.0
    level = 2 * slope * math.log(meets) / 2

    def probe(scale: float) -> Probe:
        move = slope * math.log(max(scale, 0.01))
        pair = (0.5 + level - move, 0.5 - level + move)
        return Probe(scale, *pair, (pair,) * 8)

    found = [search(probe, low, high, 7) for low, high in RANGES]
    sure = [one.scale for one in found if one.sure]
    assert len(sure) >= 3
    assert all(scale == pytest.approx(meets, rel=0.05) for scale in sure)
    assert max(sure) / min(sure) < 1.05


def test_curves_that_meet_outside_the_range_are_not_said_to_meet() -> None:
    inside, outside = (search(runs(24, 0.05, 0.01, 0.001), 1, high, 7) for high in (20, 8))
    assert inside.sure and inside.scale == pytest.approx(0.85 / 0.06, rel=0.03)
    assert not outside.crosses and not outside.sure and outside.scale == 8


def test_two_ranges_end_between_the_same_two_probes() -> None:
    """Noise moves a meeting point unless the same scales are probed: the grid of scales is the same for all ranges."""
    found = [search(runs(64, 0.12, 0.05, 0.05), low, high, 9) for low, high in RANGES]
    assert all(one.sure for one in found)
    assert len({(one.low, one.high) for one in found}) == 1
    scales = [one.scale for one in found]
    assert max(scales) / min(scales) < 1.02


@pytest.mark.parametrize("noise", [0.02, 0.1, 0.3])
def test_noisy_curves_that_are_called_sure_agree(noise) -> None:
    """Every probe has noise of its own, as drawn tokens make it: what is sure in two ranges is the same to 5 %."""
    apart, many = [], 0
    for seed in range(12):
        found = [search(runs(48, 0.12, 0.05, noise, seed), low, high, 7) for low, high in RANGES]
        sure = [one.scale for one in found if one.sure]
        many += len(sure)
        apart += [max(sure) / min(sure)] if len(sure) > 1 else []
    assert sum(ratio <= 1.05 for ratio in apart) >= 0.95 * len(apart)
    assert many > 40 or noise > 0.05  # little noise does not keep it from an answer


@settings(deadline=None)
@given(st.floats(-20, 50))
def test_a_scale_lies_within_half_a_cell_of_the_grid(scale) -> None:
    near = on_grid(place_of(scale))
    assert abs(near - scale) <= 0.025 * (1 + abs(scale))


def test_without_single_images_nothing_is_judged() -> None:
    found = search(lambda s: Probe(s, 0.9 - 0.1 * s, 0.1 + 0.1 * s), 1, 8, 6)
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
