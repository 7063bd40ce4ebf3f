"""Numbers made in parts are those made at once."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from ar_guidance.tests.evaluate.plans import small
from ar_guidance.tools.bundled.metrics import Gaussian, frechet
from ar_guidance.tools.evaluate.estimates import FrechetTo, ScoreSums, frechet_of, joined
from ar_guidance.tools.evaluate.library import library
from ar_guidance.tools.evaluate.moments import Moments
from ar_guidance.tools.evaluate.plan_file import make_plan
from ar_guidance.tools.evaluate.samples import Samples
from ar_guidance.tools.evaluate.shards import Made, shards_of
from ar_guidance.tools.evaluate.store import Store


def features(count: int, width: int = 24, seed: int = 0, offset: float = 3.0) -> np.ndarray:
    """Correlated features far from zero."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, width)) @ rng.normal(size=(width, width)) + offset).astype("f4")


@pytest.mark.parametrize("sizes", [(500,), (1, 499), (100, 150, 250), (7,) * 71 + (3,)])
def test_moments_in_parts_are_the_two_pass_ones(sizes: tuple[int, ...]) -> None:
    rows = features(500, offset=1000.0)  # where sums of squares would lose half their digits
    moments = Moments(rows.shape[1])
    for part in np.split(rows, np.cumsum(sizes)[:-1]):
        moments.add(part)
    double = rows.astype(np.float64)
    assert moments.count == 500
    np.testing.assert_allclose(moments.mean, double.mean(0), rtol=1e-13)
    np.testing.assert_allclose(
        moments.gaussian().covariance, np.cov(double, rowvar=False), rtol=1e-9, atol=1e-9
    )


def test_a_part_can_be_taken_out_again() -> None:
    rows = features(300)
    whole, part, rest = (Moments(rows.shape[1]) for _ in range(3))
    whole.add(rows)
    part.add(rows[:40])
    rest.add(rows[40:])
    left = whole.without(part)
    assert left.count == rest.count
    np.testing.assert_allclose(left.mean, rest.mean, rtol=1e-12)
    np.testing.assert_allclose(left.scatter, rest.scatter, rtol=1e-9, atol=1e-8)


def test_frechet_of_blocks_is_the_distance_of_all_and_jackknifed() -> None:
    reference = Gaussian.of(torch.from_numpy(features(900, seed=1)))
    rows = features(200)
    blocks = []
    for part in np.split(rows, 8):
        blocks.append(Moments(rows.shape[1]))
        blocks[-1].add(part)
    found = frechet_of(blocks, reference, "distance")
    assert found is not None
    assert found.value == pytest.approx(
        frechet(Gaussian.of(torch.from_numpy(rows)), reference), rel=1e-9
    )
    without_first = frechet(Gaussian.of(torch.from_numpy(rows[25:])), reference)
    assert found.blocks[0] == pytest.approx(8 * found.value - 7 * without_first, rel=1e-6)


def score(logits: np.ndarray) -> float:
    chances = torch.from_numpy(logits).double().softmax(1)
    apart = chances * (chances.log() - chances.mean(0, keepdim=True).log())
    return float(apart.sum(1).mean().exp())


def test_inception_score_in_parts_is_the_one_of_all() -> None:
    logits = features(120, 30) * 0.5
    sums = ScoreSums.of(logits[:50]) + ScoreSums.of(logits[50:])
    assert sums.score() == pytest.approx(score(logits), rel=1e-12)


@pytest.mark.parametrize("count", [400, 12])
def test_the_library_has_the_same_distance_and_score(count: int) -> None:
    """Also of fewer samples than features, whose covariance has no inverse."""
    fid, isc = library("metric_fid"), library("metric_isc")

    made, real = features(count).astype("f8"), features(700, seed=1).astype("f8")
    theirs = fid.fid_statistics_to_metric(
        *(fid.fid_features_to_statistics(torch.from_numpy(rows)) for rows in (made, real)), False
    )["frechet_inception_distance"]
    moments = Moments(made.shape[1])
    for part in np.split(made, 4):
        moments.add(part)
    whole = joined([moments])
    assert whole is not None
    ours = FrechetTo.of(Gaussian.of(torch.from_numpy(real)))(whole.gaussian())
    assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-6)
    logits = torch.from_numpy(features(100, 30) * 0.5)
    theirs = isc.isc_features_to_metric(logits, splits=1, shuffle=False)["inception_score_mean"]
    assert ScoreSums.of(logits.numpy()).score() == pytest.approx(theirs, rel=1e-6)


def stored(folder: Path, rows: np.ndarray, shard: int, blocks: int) -> Samples:
    """Features as a run stores them, shard by shard."""
    row = {"label": "plain"}
    plan = make_plan(small(rows=[row], seeds=1, each=len(rows), shard=shard, blocks=blocks))
    store, shards = Store(folder, plan), shards_of(plan)
    for one in shards:
        digest = np.arange(one.start, one.end, dtype=np.uint64)
        store.put(Made(one, {"digest": digest, "f": rows[one.start : one.end]}, {}, {}))
    return Samples(store, tuple(shards), blocks)


@pytest.mark.parametrize("shard,blocks", [(7, 5), (64, 3), (500, 20)])
def test_stored_features_have_the_two_pass_moments(shard: int, blocks: int, tmp_path: Path) -> None:
    """Whatever the shards are, and where the blocks' borders lie in them."""
    rows = features(500, offset=1000.0)
    whole = joined(stored(tmp_path, rows, shard, blocks).moments("f"))
    double = rows.astype(np.float64)
    assert whole is not None and whole.count == 500
    np.testing.assert_allclose(whole.mean, double.mean(0), rtol=1e-13)
    covariance = np.cov(double, rowvar=False)
    np.testing.assert_allclose(whole.gaussian().covariance, covariance, rtol=1e-9, atol=1e-9)


def test_memory_does_not_grow_with_the_samples(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        samples = stored(tmp_path / str(count), features(count, 32), 100, 4)
        samples.moments("f")  # what is imported and cached once
        tracemalloc.start()
        samples.moments("f")
        samples.means("f", lambda rows: rows[:, 0])
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(4000) < 1.25 * peak(400)
