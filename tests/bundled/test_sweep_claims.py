"""Claims are pooled over runs, and a table of many is corrected for being many."""

import json

import numpy as np
import pytest
from ar_guidance.benchmarks.sweep_claims import (
    CLAIMS,
    DATA,
    LEVEL,
    Claim,
    Pooled,
    all_runs,
    pooled,
    verdict,
)
from ar_guidance.tools.evaluate.command import PLANS
from ar_guidance.tools.evaluate.plan_file import read_plan
from ar_guidance.tools.pack import ROOT
from scipy import stats

SWEEP = json.loads((ROOT / "docs" / "data" / "sweep.json").read_text("utf-8"))
PAIR = (("a", 1.0), ("b", 1.0))


def row(method: str, blocks: list[float], pictures: int) -> dict:
    return {"method": method, "strength": 1.0, "pictures": pictures, "frechet": blocks}


def test_one_run_is_a_paired_test() -> None:
    a, b = [1.0, 2.0, 4.0, 3.0], [0.5, 2.5, 2.0, 2.0]
    runs = {"x": [row("a", a, 40), row("b", b, 40)]}
    found = pooled(Claim("", "", -1, {"x": [PAIR]}), runs, "frechet")
    low, high = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert found.mean - found.half(0.05) == pytest.approx(low)
    assert found.mean + found.half(0.05) == pytest.approx(high)


def test_runs_count_by_their_images() -> None:
    rng = np.random.default_rng(0)
    runs = {
        name: [row("a", list(rng.normal(mean, 1, n)), n), row("b", [0.0] * n, n)]
        for name, mean, n in (("x", 1.0, 300), ("y", 3.0, 100))
    }
    both = pooled(Claim("", "", -1, {"x": [PAIR], "y": [PAIR]}), runs, "frechet")
    assert both.images == 400 and both.mean == pytest.approx(1.5, abs=0.2)
    one = pooled(Claim("", "", -1, {"x": [PAIR]}), runs, "frechet")
    assert both.half(0.05) < one.half(0.05)


def test_a_verdict_is_that_of_all_claims_at_once() -> None:
    found = Pooled(-0.5, 0.2, 40.0, 1000)  # 2.5 standard errors: seen alone, not among fifteen
    claim = Claim("", "", -1, {})
    assert verdict(claim, found, LEVEL) == "holds"
    assert verdict(claim, found, LEVEL / 15) == "cannot be told"
    assert verdict(Claim("", "", 1, {}), found, LEVEL) == "does not hold"


def test_data_are_of_the_plans_as_they_stand() -> None:
    for name, rows in json.loads(DATA.read_text("utf-8")).items():
        plan = read_plan(PLANS / f"{name}.yaml")
        settings = {(s.label, s.strength) for s in plan.settings}
        assert {(r["method"], r["strength"]) for r in rows} == settings
        for one in rows:
            assert one["pictures"] == plan.samples and len(one["frechet"]) == plan.blocks


def test_every_claim_has_its_runs_and_the_seeds_are_not_the_sweeps() -> None:
    runs = all_runs(SWEEP)
    assert all(pooled(claim, runs, "frechet").images >= 200 for claim in CLAIMS)
    used = [set(read_plan(PLANS / f"{n}.yaml").seeds) for n in ("sweep", "claims", "claims-igg")]
    assert not used[0] & used[1] and not used[1] & used[2] and not used[0] & used[2]
    assert not set(read_plan(PLANS / "claims-token.yaml").seeds) & set(range(10))
