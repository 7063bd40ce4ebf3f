"""Schedules: the published shapes, the interval, and refusals."""

import math

import pytest
from ar_guidance.guidance.schedule import KINDS, LIST, Schedule
from hypothesis import given
from hypothesis import strategies as st

steps = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n)))


@given(steps, st.sampled_from([k for k in KINDS if k != LIST]), st.floats(-20, 20))
def test_strength_lies_between_rest_and_full(step, kind, full) -> None:
    value = Schedule(kind, power=1.7).strength(*step, full=full, rest=1.0)
    assert min(1, full) - 1e-9 <= value <= max(1, full) + 1e-9


@given(steps)
def test_published_shapes(step) -> None:
    k, count = step
    ramp = Schedule("linear ramp").strength(k, count, full=5.0, rest=1.0)
    assert ramp == pytest.approx(1 + 4 * k / (count - 1) if count > 1 else 5.0)
    decay = Schedule("linear decay").strength(k, count, full=0.4, rest=0.0)
    assert decay == pytest.approx(0.4 * (1 - k / count))
    cosine = Schedule("cosine power", power=2.75).strength(k, count, full=14.0, rest=1.0)
    assert cosine == pytest.approx(1 + 13 / 2 * (1 - math.cos((k / count) ** 2.75 * math.pi)))


def test_interval_is_inclusive_and_off_outside() -> None:
    schedule = Schedule("constant", start=0.25, end=0.75)
    active = [schedule.strength(k, 5, 3.0, 1.0) for k in range(5)]
    assert active == [None, 3.0, 3.0, 3.0, None]


def test_an_interval_between_two_steps_is_refused_before_the_run() -> None:
    between = Schedule("constant", start=0.95, end=0.97)
    with pytest.raises(
        ValueError, match="start 0.95 and end 0.97 .* none of this model's 10 steps"
    ):
        between.check(10)
    between.check(101)
    Schedule("constant", start=1.0).check(10)  # the last step


def test_list_gives_its_own_numbers() -> None:
    schedule = Schedule("list", values=(1.0, 2.5, 4.0))
    assert [schedule.strength(k, 3, 9.0, 1.0) for k in range(3)] == [1.0, 2.5, 4.0]
    assert schedule.note(3) is None


@given(st.lists(st.floats(-20, 60), min_size=1, max_size=40), st.integers(2, 300))
def test_a_list_of_another_length_is_fitted_to_the_steps(values, count) -> None:
    schedule = Schedule("list", values=tuple(values))
    schedule.check(count)
    fitted = [schedule.strength(k, count, 9.0, 1.0) for k in range(count)]
    assert (fitted[0], fitted[-1]) == pytest.approx((values[0], values[-1]))
    assert min(values) - 1e-9 <= min(fitted) and max(fitted) <= max(values) + 1e-9
    assert (schedule.note(count) is None) == (len(values) == count)
    twice = Schedule("list", values=tuple(fitted))
    back = [twice.strength(k, 2 * count - 1, 9.0, 1.0) for k in range(0, 2 * count - 1, 2)]
    assert back == pytest.approx(fitted)  # every step of the shorter run is one of the longer


@given(
    st.floats(-5, 80),
    st.integers(1, 6).map(lambda n: 4 * n),
    st.integers(1, 6).map(lambda n: 4 * n),
)
def test_cumulative_decay_is_updated_at_every_position_line_ends_included(scale, h, w) -> None:
    weight, expected = scale, []
    for position in range(h * (w + 1)):
        weight = max(4.0, weight * (1 - (position + 2) / (h // 2 * (w // 2))))
        if position % (w + 1) != w:  # a line end is not drawn
            expected.append(weight)
    schedule = Schedule("cumulative decay", line=w)
    found = [schedule.strength(k, h * w, scale, 1.0) for k in range(h * w)]
    assert found == pytest.approx([1.0] * (h * w) if scale == 1.0 else expected)


def test_cumulative_decay_leaves_no_guidance_as_it_is() -> None:
    schedule = Schedule("cumulative decay", line=8)
    assert schedule.strength(3, 64, 1.0, 1.0) == 1.0 and schedule.strength(3, 64, 2.0, 1.0) == 4.0


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "sideways"},
        {"start": 0.8, "end": 0.2},
        {"end": 1.5},
        {"kind": "cosine power", "power": 0.0},
        {"kind": "list"},
        {"kind": "list", "values": (1.0, math.nan)},
    ],
)
def test_refusals(settings) -> None:
    with pytest.raises(ValueError):
        Schedule(**settings)
