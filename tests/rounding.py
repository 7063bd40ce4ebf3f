"""Laws about runs whose batches have other sizes: they hold but for rounding, which differs from processor to processor."""

from collections.abc import Callable

SEEDS = (1, 2)


def holds(law: Callable[[int], bool]) -> bool:
    """Whether a law that compares tokens holds with one of the seeds.

    Rounding carries about one in four hundred runs over the boundary between two tokens, and all that follows differs.
    """
    return any(law(seed) for seed in SEEDS)
