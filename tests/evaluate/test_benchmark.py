"""The arithmetic of `benchmarks/evaluate.py`; its runs take minutes."""

import pytest
from ar_guidance.benchmarks.evaluate import LEAST, PARTS, steady
from ar_guidance.benchmarks.evaluate_runs import SHARD, plan_of
from ar_guidance.tools.evaluate.shards import shards_of


def test_a_steady_rate_leaves_out_the_start_of_every_worker() -> None:
    stored = [(9.0, 50, "a"), (10.0, 50, "b"), (14.0, 50, "a"), (15.0, 50, "b")]
    assert steady({"stored": stored}, 2) == pytest.approx(100 / 5)
    one = [(second, images, "a") for second, images, _ in stored]
    assert steady({"stored": one}, 1) == pytest.approx(150 / 6)


def test_a_worker_that_gave_nothing_does_not_count() -> None:
    stored = [(5.0, 50, "a"), (9.0, 50, "a"), (13.0, 50, "a")]
    assert steady({"stored": stored}, 2) == pytest.approx(100 / 8)


def test_the_least_images_give_every_worker_two_shards() -> None:
    for part in ("throughput", "workers"):
        assert len(shards_of(plan_of(LEAST[part]))) >= 4 and LEAST[part] <= PARTS[part][1]
    assert all(least >= SHARD for least in LEAST.values())
