"""What showing a run may cost while it is under way, by a clock that the test turns."""

import pytest
from ar_guidance.imaging.preview_budget import ALONE, UNKNOWN, Budget, expected_seconds, remember
from hypothesis import given
from hypothesis import strategies as st


class Clock:
    """Stands still unless told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Decoder:
    """Something that decodes."""


def test_a_first_preview_waits_until_the_run_can_carry_it() -> None:
    clock = Clock()
    budget = Budget(ALONE, clock=clock)
    assert (
        not budget.affords_preview()
    )  # nothing has been drawn, however long the model took to load
    budget.start()
    clock.now += 0.99 * UNKNOWN / ALONE
    budget.start()  # of a later step: changes nothing
    assert not budget.affords_preview()
    clock.now += 0.02 * UNKNOWN / ALONE
    assert budget.affords_preview()


@given(
    cost=st.floats(0.001, 3.0),
    step=st.floats(0.01, 2.0),
    live=st.floats(0.0, 0.001),
    share=st.sampled_from([0.03, 0.05]),
)
def test_previews_keep_to_their_share(cost: float, step: float, live: float, share: float) -> None:
    clock = Clock()
    budget = Budget(share, expected=cost, clock=clock)
    budget.start()
    shown = []
    for _ in range(400):
        clock.now += step
        if budget.affords_preview():
            with budget.previewing():
                clock.now += cost
            shown.append(clock.now)
            assert budget.spent <= share * (clock.now - 100.0) * (1 + 1e-9)
        with budget.spending():
            clock.now += live
    if 400 * step * share > cost + 400 * live:
        assert shown  # and what may be spent is spent


def test_the_next_preview_is_expected_to_cost_what_the_last_did() -> None:
    clock = Clock()
    budget = Budget(0.05, expected=0.001, clock=clock)
    budget.start()
    with budget.previewing():
        clock.now += 2.0
    assert (budget.expected, budget.spent) == (2.0, 2.0)
    clock.now += 77.0
    assert not budget.affords_preview()
    clock.now += 2.0
    assert budget.affords_preview()


def test_decoders_are_remembered_by_the_pixel() -> None:
    known, other = Decoder(), Decoder()
    assert expected_seconds(known, 64) == UNKNOWN
    remember(known, 2.0, 4 * 64)
    assert expected_seconds(known, 64) == pytest.approx(0.5)
    assert expected_seconds(known, 256) == pytest.approx(2.0)
    assert expected_seconds(other, 64) == UNKNOWN
