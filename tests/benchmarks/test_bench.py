"""The one command for all benchmarks: what it runs, what it refuses, how numbers become one table."""

import importlib
import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from ar_guidance.benchmarks import bench

ENTRIES = [*bench.PROCESSOR, *bench.GPU]


@pytest.fixture
def options(tmp_path: Path) -> Namespace:
    return Namespace(output=tmp_path, official_var=None, official_llamagen=None, before=None)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_entry_is_a_module_that_knows_its_options(entry, capsys, monkeypatch) -> None:
    module = importlib.import_module(f"ar_guidance.benchmarks.{entry.module}")
    monkeypatch.setattr(sys, "argv", [entry.module, "--help"])
    with pytest.raises(SystemExit):
        module.main()
    told = capsys.readouterr().out
    for option in (*entry.arguments, *entry.checkouts, "--json"):
        assert not option.startswith("--") or option in told


def test_a_checkout_is_handed_on(options, tmp_path) -> None:
    options.official_var = tmp_path
    entry = bench.PROCESSOR[0]
    command = bench.command(entry, options, tmp_path / "x.json")
    assert command[command.index("--official") + 1] == str(tmp_path)


def test_every_number_of_a_benchmark_is_a_line() -> None:
    rows = bench.numbers("x", {"run": "one image", "batch": 8, "a s": 1.5, "b s": 2.0})
    assert [(row["what"], row["number"], row["value"]) for row in rows] == [
        ("one image, batch 8", "a s", 1.5),
        ("one image, batch 8", "b s", 2.0),
    ]


def test_one_that_fails_is_told_and_the_others_run(options, monkeypatch) -> None:
    def run(command, **settings):
        file = Path(command[-1])
        if "memory" in file.name:
            return subprocess.CompletedProcess(command, 1, "", "first\nno room")
        file.write_text(json.dumps({"rows": [{"what": "x", "s": 1.0}]}))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    rows = [row for entry in bench.PROCESSOR for row in bench.run(entry, options)]
    failed = [row for row in rows if row["what"] == "FAILED"]
    assert [row["value"] for row in failed] == ["no room"]
    assert len(rows) == 2 * (len(bench.PROCESSOR) - 1) + 1


def test_without_a_gpu_the_gpu_list_is_refused(monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["bench", "--gpu", "--output", str(tmp_path)])
    assert bench.main() == 1
    assert "no GPU" in capsys.readouterr().err
