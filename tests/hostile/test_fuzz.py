"""The short form of `python -m tools.fuzz`: every area of it, two thousand cases and more."""

from ar_guidance.tools import fuzz


def test_random_input_ends_in_a_value_or_a_refusal() -> None:
    counts = fuzz.run(2_400)
    assert sum(tried for tried, _ in counts.values()) >= 2_000
    assert all(tried for tried, _ in counts.values())
    assert sum(refused for _, refused in counts.values()) > 500
