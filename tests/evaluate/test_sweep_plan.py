"""The sweep as a plan: its settings, and the document's data from its report."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from ar_guidance.benchmarks.sweep_document import COLUMNS, everything
from ar_guidance.benchmarks.sweep_plan import as_text, records
from ar_guidance.benchmarks.sweep_report import DATA, merged
from ar_guidance.benchmarks.sweep_settings import scalewise_settings
from ar_guidance.benchmarks.sweep_tokens import tokenwise_settings
from ar_guidance.tools.evaluate.chains import chain_of
from ar_guidance.tools.evaluate.command import PLANS, main
from ar_guidance.tools.evaluate.plan_file import read_plan
from ar_guidance.tools.evaluate.work import sampler_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "name,settings", [("sweep", scalewise_settings()), ("sweep-tokens", tokenwise_settings())]
)
def test_the_plans_are_the_sweeps_settings(name: str, settings: list) -> None:
    plan = read_plan(PLANS / f"{name}.yaml")
    found = {
        (s.label, s.strength): (chain_of(s.chain), sampler_of(s.sampler)) for s in plan.settings
    }
    plain = sampler_of({name: plan.settings[0].sampler[name] for name in ("top_p", "top_k")})
    wanted = {
        (s.method, s.strength): (
            s.guidances,
            replace(plain, temperature=s.temperature, by_entropy=s.by_entropy),
        )
        for s in settings
    }
    assert found == wanted


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Two rows of the sweep at a small size, by the command itself."""
    folder = tmp_path_factory.mktemp("sweep")
    plan = yaml.safe_load((PLANS / "sweep.yaml").read_text(encoding="utf-8"))
    plan |= {"seeds": 2, "each": 4, "batch": 4, "shard": 4, "blocks": 4}
    plan["rows"] = [plan["rows"][0], plan["rows"][1] | {"strengths": [2, 3]}]
    (folder / "small.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    line = [str(folder / "small.yaml"), "--device", "cpu", "--output", str(folder / "out")]
    assert main(line) == 0
    assert (folder / "out" / "figures" / "frechet.png").is_file()
    return json.loads((folder / "out" / "report.json").read_text(encoding="utf-8"))


def test_the_document_can_be_made_of_a_report(report: dict[str, Any]) -> None:
    made = records(report)["scale"]
    assert [(row["method"], row["strength"]) for row in made] == [
        ("no guidance", 1.0),
        ("CFG", 2.0),
        ("CFG", 3.0),
    ]
    for row in made:
        assert row["seeds"] == [0, 1] and row["pictures"] == 8
        assert all(len(row[name]) == 4 for name in COLUMNS)
    assert made[0]["evenness"] == [None] * 4 and len(made[2]["steps"]["evenness"]) == 7
    assert len(everything(made)) == 2 + 3


def test_records_of_a_report_take_the_places_of_older_ones(report: dict[str, Any]) -> None:
    stored = json.loads(DATA.read_text(encoding="utf-8"))
    both = stored | {"scale": merged(stored["scale"], records(report)["scale"])}
    again = json.loads(as_text(both))
    assert len(again["scale"]) == len(stored["scale"]) and again["token"] == stored["token"]
    changed = [row for row in again["scale"] if row["pictures"] == 8]
    assert len(changed) == 3
    assert json.loads(as_text(stored)) == stored
