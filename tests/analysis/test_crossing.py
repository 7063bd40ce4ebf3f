"""Searching the scale at which two curves meet."""

import math

import pytest
from ar_guidance.analysis.crossing import Probe, bracket, gaps, on_own_range, search
from hypothesis import given, settings
from hypothesis import strategies as st


def counted(even, diverging):
    calls = []

    def run(scale: float) -> Probe:
        calls.append(scale)
        return Probe(scale, even(scale), diverging(scale))

    return run, calls


def test_straight_lines_meet_in_the_middle() -> None:
    run, calls = counted(lambda s: 0.99 - 0.01 * s, lambda s: 0.1 + 0.05 * s)
    found = search(run, 1, 9, 8, own_ranges=True)
    assert found.crosses and found.scale == pytest.approx(5.0)
    assert len(calls) == len(set(calls)) == 8
    assert found.low <= 5.0 <= found.high and "meet at scale 5.00" in found.message


@settings(deadline=None)
@given(st.floats(0.05, 0.95), st.floats(0.5, 4), st.booleans())
def test_bisection_closes_in_on_any_crossing(where, steep, rising) -> None:
    """Curves that mirror each other around 1/2 meet where both pass 1/2."""
    low, high = 1.0, 8.0

    def level(scale: float) -> float:
        share = (scale - low) / (high - low)
        return share ** (math.log(0.5) / math.log(where)) if steep < 2 else share

    target = low + (high - low) * (where if steep < 2 else 0.5)
    first, second = (lambda s: 0.9 + 0.05 * level(s)), (lambda s: 0.4 - 0.3 * level(s))
    run, calls = counted(*((first, second) if rising else (second, first)))
    found = search(run, low, high, 12, own_ranges=True)
    assert found.crosses and len(calls) == 12
    assert found.low - 1e-9 <= target <= found.high + 1e-9
    assert found.high - found.low <= (high - low) / 2**8
    narrow, again = counted(*((first, second) if rising else (second, first)))
    assert search(narrow, low, high, 8, True, (found.low, found.high)).scale == pytest.approx(
        target, abs=0.1
    )
    assert len(again) == 8


def test_curves_that_run_the_same_way_do_not_cross() -> None:
    run, calls = counted(lambda s: 0.8 + 0.01 * s, lambda s: 0.2 + 0.03 * s)
    found = search(run, 1, 8, 7, own_ranges=True)
    assert not found.crosses and len(calls) == 7
    assert "do not cross" in found.message and "the same way" in found.message
    assert found.scale == 8 and "Nearest to each other: scale 8.00" in found.message


def test_flat_curves() -> None:
    run, _ = counted(lambda s: 0.9, lambda s: 0.1 * s)
    found = search(run, 1, 8, 6, own_ranges=True)
    assert not found.crosses and "evenness does not change" in found.message
    run, _ = counted(lambda s: 1.0, lambda s: 0.0)
    found = search(run, 1, 8, 6, own_ranges=True)
    assert "evenness and divergence do not change" in found.message
    assert all(math.isfinite(gap) for gap in found.gaps) and math.isfinite(found.scale)


def test_compared_as_they_are() -> None:
    run, _ = counted(lambda s: 1 - 0.1 * s, lambda s: 0.1 * s)
    assert search(run, 1, 8, 10, own_ranges=False).scale == pytest.approx(5.0, abs=0.01)
    run, _ = counted(lambda s: 0.9 - 0.01 * s, lambda s: 0.1 + 0.01 * s)
    found = search(run, 1, 8, 6, own_ranges=False)
    assert not found.crosses and "evenness stays the larger one" in found.message
    assert found.scale == 8


def test_a_crossing_between_equal_ends_is_found() -> None:
    run, _ = counted(
        lambda s: 0.9 - 0.1 * math.sin(s), lambda s: 0.2 + 0.1 * math.sin(s) + 0.01 * s
    )
    assert search(run, 0, 2 * math.pi, 12, own_ranges=True).crosses


def test_a_probe_exactly_on_the_crossing() -> None:
    curve = [Probe(1, 0.9, 0.1), Probe(2, 0.8, 0.2), Probe(3, 0.7, 0.3)]
    assert gaps(curve, True)[1] == 0 or abs(gaps(curve, True)[1]) < 1e-9
    place = bracket(curve, True)
    assert place is not None
    run, _ = counted(lambda s: 1 - 0.125 * s, lambda s: 0.125 * s)
    assert search(run, 0, 8, 3, hints=(4,)).scale == pytest.approx(4.0)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_own_range_is_zero_to_one(values) -> None:
    made = on_own_range(values)
    assert all(0 <= v <= 1 and math.isfinite(v) for v in made)
