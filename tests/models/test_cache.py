"""The cache of a run: what later steps look back at, and no more."""

import torch
from ar_guidance.models.parts.cache import KVCache

SHAPE = {"layers": 2, "rows": 2, "heads": 3, "head_dim": 4}
CPU = torch.device("cpu")


def run(length: int, steps: tuple[int, ...], rows: tuple[int, ...]) -> list[torch.Tensor]:
    """What every layer sees at every step of a run with a cache of so many positions."""
    torch.manual_seed(0)
    cache, seen = KVCache(length=length, dtype=torch.float32, device=CPU, **SHAPE), []
    for count, some in zip(steps, rows, strict=True):
        for layer in range(2):
            k, v = torch.randn(2, 2, 3, count, 4)
            seen += cache.append(layer, k[:some], v[:some])
        cache.advance(count)
    return seen


def test_the_last_step_sees_itself_and_is_not_kept() -> None:
    for rows in ((2, 2, 2), (2, 2, 1)):
        whole, short = run(9, (1, 3, 5), rows), run(4, (1, 3, 5), rows)
        assert all(torch.equal(a, b) for a, b in zip(whole, short, strict=True))
        assert short[-1].shape == (rows[-1], 3, 9, 4)


def test_a_run_of_one_step_keeps_nothing() -> None:
    seen = run(0, (4,), (2,))
    assert seen[0].shape == (2, 3, 4, 4)
