"""The progress bar: few messages of a fast run, all of a slow one, and none that matters is lost."""

import pytest
from ar_guidance.nodes.execution.bar import EVERY, Bar

STEPS = 256


class Host:
    """Keeps what the host's bar is told: done, total, preview."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int | None, str | None]] = []

    def update_absolute(
        self, value: int, total: int | None = None, preview: str | None = None
    ) -> None:
        self.told.append((value, total, preview))


def run(seconds: float, previews: tuple[int, ...] = ()) -> list[tuple[int, int | None, str | None]]:
    """What the host is told of a run whose steps take so long."""
    host, now = Host(), [100.0]
    bar = Bar(host, clock=lambda: now[0])
    for done in range(1, STEPS + 1):
        now[0] += seconds
        bar.update(done, STEPS, "seen" if done in previews else None)
    return host.told


@pytest.mark.parametrize("seconds", [1e-5, 1e-3, 5e-3])
def test_a_fast_run_sends_few_and_always_the_first_and_the_last(seconds) -> None:
    told = run(seconds)
    assert (told[0], told[-1]) == ((1, STEPS, None), (STEPS, STEPS, None))
    assert len(told) <= 3 + STEPS * seconds / EVERY


def test_a_bar_that_can_be_seen_to_move_moves() -> None:
    told = [done for done, _, _ in run(1e-3)]
    assert max(b - a for a, b in zip(told, told[1:], strict=False)) <= EVERY / 1e-3 + 1


def test_every_step_of_a_slow_run_is_told() -> None:
    assert [done for done, _, _ in run(EVERY * 1.01)] == list(range(1, STEPS + 1))


def test_no_preview_is_lost() -> None:
    told = run(1e-5, previews=(7, 8, STEPS))
    assert [done for done, _, preview in told if preview] == [7, 8, STEPS]
