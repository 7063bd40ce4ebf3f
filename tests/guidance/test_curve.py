"""Drawn curves: through their points, never beyond them, level outside."""

import math

import pytest
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.curve import CUBIC, LINEAR, Curve
from ar_guidance.guidance.schedule import Schedule
from ar_guidance.guidance.ssg import SSG
from ar_guidance.tests.tiny import tiny_var
from hypothesis import given
from hypothesis import strategies as st

number = st.floats(0, 1)
points = st.lists(
    st.tuples(number, number), min_size=1, max_size=7, unique_by=lambda p: round(p[0], 3)
).map(tuple)


@given(points, st.sampled_from([CUBIC, LINEAR]))
def test_a_curve_passes_its_points_and_is_level_beyond_them(drawn, interpolation) -> None:
    curve = Curve(drawn, interpolation)
    for x, y in drawn:
        assert curve.at(x) == pytest.approx(y, abs=1e-6)
    first, last = min(drawn), max(drawn)
    assert curve.at(-1.0) == first[1] and curve.at(2.0) == last[1]


@given(points, st.sampled_from([CUBIC, LINEAR]), number)
def test_a_piece_never_leaves_the_range_of_its_ends(drawn, interpolation, x) -> None:
    value = Curve(drawn, interpolation).at(x)
    left = max((p for p in drawn if p[0] <= x), default=min(drawn))
    right = min((p for p in drawn if p[0] >= x), default=max(drawn))
    assert min(left[1], right[1]) - 1e-6 <= value <= max(left[1], right[1]) + 1e-6


@given(points, number)
def test_the_order_of_points_does_not_matter(drawn, x) -> None:
    assert Curve(drawn).at(x) == Curve(tuple(reversed(drawn))).at(x)


@given(number)
def test_straight_lines_are_straight(x) -> None:
    assert Curve().at(x) == pytest.approx(x)
    middle = Curve(((0.0, 0.2), (0.5, 0.4), (1.0, 0.6)))
    assert middle.at(x) == pytest.approx(0.2 + 0.4 * x)
    bent = Curve(((0.0, 1.0), (0.25, 0.0), (1.0, 0.5)), LINEAR)
    assert bent.at(x) == pytest.approx(1 - 4 * x if x < 0.25 else (x - 0.25) / 1.5)


def test_a_cubic_by_hand() -> None:
    """Secants 2 and 0.5: slopes 2, 1.25, then 0.5; half-way through the first piece 1/8 * (m0 - m1) * dx is added."""
    curve = Curve(((0.0, 0.0), (0.4, 0.8), (0.8, 1.0)))
    assert curve.at(0.2) == pytest.approx(0.4 + 0.4 * (2 - 1.25) / 8)
    steep = Curve(((0.0, 0.0), (0.5, 0.01), (1.0, 1.0)))  # slopes limited to 3 times the secant
    assert 0 <= steep.at(0.25) <= 0.01


def test_two_points_at_one_place_are_a_step() -> None:
    step = Curve(((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (1.0, 1.0)))
    assert [step.at(x) for x in (0.0, 0.3, 0.49, 0.5, 0.7, 1.0)] == [0, 0, 0, 1, 1, 1]


def test_schedule_samples_the_curve_at_the_steps() -> None:
    drawn = Curve(((0.0, 1.0), (0.5, 0.2), (1.0, 0.6)))
    schedule = Schedule("curve", curve=drawn)
    made = [schedule.strength(k, 5, full=4.0, rest=1.0) for k in range(5)]
    assert made == pytest.approx([1 + 3 * drawn.at(k / 4) for k in range(5)])
    assert schedule.strength(0, 1, full=4.0, rest=1.0) == pytest.approx(1 + 3 * 0.6)
    late = Schedule("curve", start=0.5, curve=drawn)
    assert late.strength(1, 5, 4.0, 1.0) is None


def test_a_straight_curve_is_the_linear_ramp() -> None:
    model = tiny_var()
    for make in (lambda kind: CFG(4.0, kind), lambda kind: SSG(0.5, kind)):
        ramp, drawn = (model.sample([1], (make(kind),)) for kind in ("linear ramp", "curve"))
        assert ramp.features.equal(drawn.features)
    flat = CFG(4.0, "curve", curve=Curve(((0.0, 1.0),)))
    constant = model.sample([1], (CFG(4.0, "constant"),))
    assert model.sample([1], (flat,)).features.equal(constant.features)


@pytest.mark.parametrize(
    "settings",
    [
        {"points": ()},
        {"points": ((0.0, math.nan),)},
        {"points": ((math.inf, 0.0),)},
        {"interpolation": "spline"},
    ],
)
def test_refusals(settings) -> None:
    with pytest.raises(ValueError, match="curve|interpolation"):
        Curve(**settings)
