"""The contributor's guide: its examples run as they stand, and the files it names are there."""

import re
from pathlib import Path

import pytest
from ar_guidance.loaders import families

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python (\w+)\n(.*?)^```$", GUIDE, re.M | re.S)


@pytest.mark.parametrize("example", ["guidance", "family"])
def test_the_worked_examples_run(example: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(families, "PARTS", dict(families.PARTS))
    monkeypatch.setattr("ar_guidance.loaders.detect.PARTS", families.PARTS)
    blocks = [code for name, code in BLOCKS if name == example]
    assert len(blocks) == 2
    names = {"__name__": "example", "folder": tmp_path, "families": families.PARTS}
    for code in blocks:
        exec(compile(code, "CONTRIBUTING.md", "exec"), names)  # noqa: S102


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_the_files_it_names_are_there(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    named = re.findall(r"`([a-z]+/[\w/.]+\.(?:py|md))`", text)
    assert len(named) >= 8
    for name in named:
        assert (ROOT / name).is_file(), name


def test_every_room_is_in_the_table() -> None:
    table = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for folder in ROOT.iterdir():
        if (folder / "__init__.py").is_file() and folder.name not in (
            "tools",
            "tests",
            "benchmarks",
        ):
            assert f"| `{folder.name}/` |" in table, folder.name
