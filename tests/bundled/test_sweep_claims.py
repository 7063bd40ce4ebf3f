"""Claims are pooled over runs, and a table of many is corrected for being many."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from ar_guidance.benchmarks.sweep_claims import (
    BEFORE,
    CLAIMS,
    DATA,
    LEVEL,
    Claim,
    Pooled,
    all_runs,
    pooled,
    verdict,
)
from ar_guidance.benchmarks.sweep_scales import SHOWN, at_scale
from ar_guidance.benchmarks.sweep_so_far import BLOCK, report_so_far
from ar_guidance.benchmarks.sweep_weights import WEIGHTS, check_weights
from ar_guidance.tests.evaluate.plans import written
from ar_guidance.tools.bundled.sample import FILES
from ar_guidance.tools.evaluate.command import PLANS, main
from ar_guidance.tools.evaluate.plan_file import read_plan
from ar_guidance.tools.pack import ROOT

SWEEP = json.loads((ROOT / "docs" / "data" / "sweep.json").read_text("utf-8"))
DOCUMENT = (ROOT / "docs" / "guidance-sweep.md").read_text("utf-8")
PLAN_OF = {"scale": "sweep", "token": "sweep-tokens"}
PAIR = (("a", 1.0), ("b", 1.0))


def row(method: str, blocks: list[float], pictures: int) -> dict:
    return {"method": method, "strength": 1.0, "pictures": pictures, "frechet": blocks}


def test_one_run_is_a_paired_test() -> None:
    from scipy import stats  # a second to import, which every process of the suite would pay

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


def test_images_of_other_weights_are_not_added() -> None:
    report = {"name": "x", "weights": {"scale": {"transformer": WEIGHTS["scale"] + "0" * 48}}}
    check_weights(report)
    report["weights"]["scale"]["transformer"] = "0" * 64
    with pytest.raises(SystemExit, match="'x': its scale model has other weights"):
        check_weights(report)


@pytest.mark.parametrize("model", WEIGHTS)
def test_the_data_are_of_the_weights_that_ship(model: str) -> None:
    _, transformer = FILES[model]
    whole = sha256((ROOT / "bundled" / transformer).read_bytes()).hexdigest()
    assert whole.startswith(WEIGHTS[model]), "docs/guidance-sweep.md: measure it again"
    assert f"`{WEIGHTS[model]}…`" in DOCUMENT


def test_the_document_says_how_many_images_there_are() -> None:
    runs = [*SWEEP.values(), *json.loads(DATA.read_text("utf-8")).values()]
    total = sum(row["pictures"] for rows in runs for row in rows)
    assert f"{total:,} images" in DOCUMENT


def test_a_verdict_is_that_of_all_claims_at_once() -> None:
    found = Pooled(-0.5, 0.2, 40.0, 1000)  # 2.5 standard errors: seen alone, not among seventeen
    claim = Claim("", "", -1, {})
    assert verdict(claim, found, LEVEL) == "holds"
    assert verdict(claim, found, LEVEL / 17) == "cannot be told"
    assert verdict(Claim("", "", 1, {}), found, LEVEL) == "does not hold"


def test_data_are_of_the_plans_as_they_stand() -> None:
    made = json.loads(DATA.read_text("utf-8"))
    for name in set(made) - {BEFORE}:
        rows = made[name]
        plan = read_plan(PLANS / f"{name}.yaml")
        settings = {(s.label, s.strength) for s in plan.settings}
        assert {(r["method"], r["strength"]) for r in rows} == settings
        images = {one["pictures"] for one in rows}
        assert len(images) == 1 and len({len(one["frechet"]) for one in rows}) == 1
        if images == {plan.samples}:
            assert len(rows[0]["frechet"]) == plan.blocks
        else:  # of a run that was not waited for: whole seeds
            assert images == {BLOCK * len(rows[0]["frechet"])}
            assert not images.pop() % plan.each


def test_every_claim_has_its_runs_and_the_seeds_are_not_the_sweeps() -> None:
    runs = all_runs(SWEEP)
    assert all(pooled(claim, runs, "frechet").images >= 200 for claim in CLAIMS)
    for claim in CLAIMS:
        names = [PLAN_OF.get(run, run) for run in claim.pairs if run != BEFORE]
        plans = [read_plan(PLANS / f"{name}.yaml") for name in names]
        used = [seed for plan in plans for seed in plan.seeds]
        assert len(used) == len(set(used)), claim.text


def test_a_claim_can_be_asked_at_one_scale() -> None:
    claims = {claim.shown: claim for claim in CLAIMS}
    assert set(SHOWN) <= claims.keys()
    ssg = at_scale(claims["CFG, SSG 1.2 − CFG"], 6.0).pairs
    assert ssg["scale"] == [(("CFG 6 + SSG", 1.2), ("CFG", 6.0))]
    assert ssg["claims"] == [(("CFG, SSG 1.2", 6.0), ("CFG", 6.0))]
    assert "scale" not in at_scale(claims["CFG, SSG 1.2 − CFG"], 4.0).pairs


def test_a_running_plan_counts_by_its_finished_seeds(tmp_path: Path) -> None:
    rows = [{"label": x, "strength": 1, "chain": []} for x in "ab"]
    plan = written(tmp_path, seeds=3, each=4, shard=4, blocks=3, rows=rows)
    out = tmp_path / "out"
    assert main([plan, "--device", "cpu", "--output", str(out)]) == 0
    whole = json.loads((out / "report.json").read_text("utf-8"))
    last = sorted((out / "samples" / "scale-b-1").iterdir())[-1]
    last.unlink()
    found = report_so_far(out, read_plan(Path(plan)))
    assert found["seeds"] == [0, 1] and {row["samples"] for row in found["rows"]} == {8}
    blocks = [row["metrics"]["accuracy"]["blocks"] for row in (found["rows"][0], whole["rows"][0])]
    assert blocks[0] == blocks[1][:2]
    with pytest.raises(SystemExit, match="another plan"):
        report_so_far(out, replace(read_plan(Path(plan)), each=2))
    for file in (out / "samples" / "scale-b-1").iterdir():
        file.unlink()
    with pytest.raises(SystemExit, match="fewer than two seeds"):
        report_so_far(out, read_plan(Path(plan)))


def test_a_run_that_was_not_made_yet_is_left_out() -> None:
    runs = {"x": [row("a", [1.0, 2.0], 40), row("b", [0.0, 0.0], 40)]}
    claim = Claim("", "", -1, {"x": [PAIR], "y": [PAIR]})
    assert pooled(claim, runs, "frechet").images == 40
