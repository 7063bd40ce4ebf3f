"""What GitHub and the registry read: the workflow file's matrix is what pyproject.toml says, and the templates are whole."""

import re
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]


def parsed(path: str) -> dict:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def test_the_matrix_is_what_is_promised() -> None:
    jobs = parsed(".github/workflows/test.yml")["jobs"]
    matrix = jobs["matrix"]["strategy"]["matrix"]
    assert matrix["python"] == PYTHONS
    assert matrix["torch"][0].startswith("2.10") and matrix["torch"][-1] == "newest"
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.findall(r"Python :: (3\.\d+)", project) == PYTHONS
    assert f'requires-python = ">={PYTHONS[0]}"' in project


def test_everything_runs_there_and_with_other_kernels() -> None:
    jobs = parsed(".github/workflows/test.yml")["jobs"]
    runs = {name: [step.get("run", "") for step in job["steps"]] for name, job in jobs.items()}
    assert ".ci/run" in runs["everything"]
    assert "python -m tools.dev.validators" in runs["publishing"]
    forced = {kind["aten"] for kind in jobs["kernels"]["strategy"]["matrix"]["include"]}
    assert forced == {"default", "avx2"} and "ATEN_CPU_CAPABILITY" in jobs["kernels"]["env"]


@pytest.mark.parametrize("name", ["bug", "model"])
def test_an_issue_template_asks_for_something(name: str) -> None:
    form = parsed(f".github/ISSUE_TEMPLATE/{name}.yml")
    assert form["name"] and form["description"]
    asked = [part for part in form["body"] if part["type"] != "markdown"]
    assert asked and all(part["attributes"]["label"] for part in asked)
