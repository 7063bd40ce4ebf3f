"""How far a run is: told now and then, in numbers that add up."""

from typing import Any

from ar_guidance.nodes.execution.status import EVERY, Status

GRIDS = [(1, 1), (2, 2), (4, 4)]


def told(parts: int, seconds_per_token: float) -> list[dict[str, Any]]:
    """Every message of a run of so many parts of two images each."""
    now, sent = [100.0], []
    status = Status(GRIDS, parts, 2 * parts, sent.append, clock=lambda: now[0])
    for _ in range(parts):
        status.begin(2)
        for index, (h, w) in enumerate(GRIDS):
            now[0] += seconds_per_token * h * w
            status.step(index)
    return sent


def test_a_short_run_says_nothing() -> None:
    assert told(parts=1, seconds_per_token=EVERY / 100) == []


def test_images_steps_and_seconds() -> None:
    sent = told(parts=3, seconds_per_token=1.0)
    assert [(m["first"], m["last"], m["batch"]) for m in sent][:2] == [(1, 2, 6)] * 2
    assert (sent[-1]["first"], sent[-1]["last"]) == (5, 6)
    assert [(m["step"], m["count"]) for m in sent[:3]] == [(2, 3), (3, 3), (1, 3)]
    total, passed = 3 * 21, 1
    for message in sent:  # a step takes as long as it has tokens, so what is left is known exactly
        passed += [h * w for h, w in GRIDS][message["step"] - 1]
        assert message["seconds"] == total - passed


def test_a_search_tells_what_it_tries() -> None:
    sent: list[dict[str, Any]] = []
    now = [0.0]
    status = Status(GRIDS, 1, 8, sent.append, clock=lambda: now[0])
    status.restart(4, scale=2.5)
    status.begin(4)
    for index in range(3):
        now[0] += 1
        status.step(index)
    assert sent[0]["scale"] == 2.5 and (sent[0]["last"], sent[0]["batch"]) == (4, 4)
