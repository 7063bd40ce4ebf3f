"""The official implementations' numbers: one test per case directory.

Cases: `tests/golden/cases/<family>/<case>`, and the same layout under every directory in AR_GOLDEN_PATH.
"""

import os
from pathlib import Path

import pytest
from ar_guidance.tests.golden.loading import load

HERE = Path(__file__).parent


Case = load("golden_case", HERE / "case.py").Case
load("golden_shared", HERE / "shared.py")  # what the runners import


def _cases() -> list[Path]:
    roots = [HERE / "cases"]
    roots += [Path(p) for p in os.environ.get("AR_GOLDEN_PATH", "").split(os.pathsep) if p]
    return [found.parent for root in roots for found in sorted(root.glob("*/*/case.json"))]


def _name(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


def _runner(folder: Path, family: str) -> Path:
    """The script that runs a family's cases. Cases from outside may be of a family nobody has written; ours may not."""
    runner = HERE / "families" / f"{family}.py"
    if not runner.is_file():
        end = pytest.fail if folder.is_relative_to(HERE) else pytest.xfail
        end(f"family '{family}' is not implemented")
    return runner


@pytest.mark.parametrize("folder", _cases(), ids=_name)
def test_golden(folder: Path) -> None:
    case = Case(folder)
    family = case.facts["family"]
    load(f"golden_{family}", _runner(folder, family)).run(case)
    case.finish()


def test_a_directory_from_outside_is_collected(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "var" / "mine").mkdir(parents=True)
    (tmp_path / "var" / "mine" / "case.json").write_text("{}")
    monkeypatch.setenv("AR_GOLDEN_PATH", os.pathsep.join([str(tmp_path), ""]))
    assert tmp_path / "var" / "mine" in _cases()


def test_every_family_has_a_case_of_ours() -> None:
    ours = [Case(folder).facts["family"] for folder in _cases() if folder.is_relative_to(HERE)]
    assert set(ours) == {runner.stem for runner in (HERE / "families").glob("*.py")}


def test_an_unknown_family_of_ours_fails_and_one_from_outside_does_not(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="not implemented"):
        _runner(HERE / "cases" / "unheard" / "of", "unheard")
    with pytest.raises(pytest.xfail.Exception, match="not implemented"):
        _runner(tmp_path / "unheard" / "of", "unheard")
