"""The sweep's plans: their settings are those of the document, whose data come from their reports."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ar_guidance.benchmarks.sweep_document import COLUMNS, everything
from ar_guidance.benchmarks.sweep_plan import DATA, as_text, records
from ar_guidance.tools.evaluate.command import PLANS, main
from ar_guidance.tools.evaluate.plan_file import read_plan

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name,model", [("sweep", "scale"), ("sweep-tokens", "token")])
def test_the_data_are_those_of_the_plans(name: str, model: str) -> None:
    plan = read_plan(PLANS / f"{name}.yaml")
    stored = json.loads(DATA.read_text(encoding="utf-8"))[model]
    wanted = {(s.label, s.strength) for s in plan.settings}
    assert {(row["method"], row["strength"]) for row in stored} == wanted
    for row in stored:
        assert row["seeds"] == list(plan.seeds) and row["pictures"] == plan.samples
        for measure in ("frechet", "accuracy", "evenness", "divergence"):
            assert len(row[measure]) == plan.blocks


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


def test_the_data_are_written_a_line_per_record() -> None:
    text = DATA.read_text(encoding="utf-8")
    stored = json.loads(text)
    assert as_text(stored) == text
    assert len(text.splitlines()) >= len(stored["scale"]) + len(stored["token"])
