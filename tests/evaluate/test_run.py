"""Runs: exact whatever the workers and interruptions; what goes wrong is said, and finished samples stay."""

import errno
import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ar_guidance.tests.evaluate.plans import numbers, shard_files, written
from ar_guidance.tools.evaluate import command, work
from ar_guidance.tools.evaluate.command import main
from ar_guidance.tools.evaluate.plan_file import read_plan
from ar_guidance.tools.evaluate.problems import EvaluationError
from ar_guidance.tools.evaluate.shards import Shard
from ar_guidance.tools.evaluate.version import version
from ar_guidance.tools.evaluate.work import Order, Worker
from filelock import FileLock
from safetensors.numpy import load_file

ROOT = Path(__file__).resolve().parents[2]


def evaluate(*arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "tools.evaluate", *arguments]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output of the small plan, made by one worker."""
    folder = tmp_path_factory.mktemp("one")
    assert main([written(folder), "--output", str(folder / "out"), "--device", "cpu"]) == 0
    return folder / "out"


def order_of(path: str, **changes: Any) -> Order:
    plan = read_plan(Path(path))
    hashes = command.check(plan, Path())
    return replace(Order(plan, "", "cpu", version(), hashes), **changes)


def test_the_report_has_every_setting_with_intervals(finished: Path) -> None:
    report = json.loads((finished / "report.json").read_text(encoding="utf-8"))
    assert [(row["label"], row["strength"], row["samples"]) for row in report["rows"]] == [
        ("CFG", 1.0, 8),
        ("CFG", 3.0, 8),
    ]
    metrics = report["rows"][1]["metrics"]
    assert metrics["frechet"]["value"] > 0 and len(metrics["frechet"]["blocks"]) == 4
    assert 0 <= metrics["accuracy"]["value"] <= 1
    assert "| scale | CFG 3 | 8 |" in (finished / "report.md").read_text(encoding="utf-8")


def test_three_workers_make_the_report_of_one_to_the_last_bit(
    finished: Path, tmp_path: Path
) -> None:
    arguments = [written(tmp_path), "--output", str(tmp_path / "out"), "--device", "cpu"]
    done = evaluate(*arguments, "--workers", "3")
    assert done.returncode == 0, done.stderr
    assert numbers(tmp_path / "out") == numbers(finished)


def test_a_sample_does_not_depend_on_its_shard(finished: Path, tmp_path: Path) -> None:
    order = order_of(written(tmp_path))
    alone = Worker(order).make(Shard(1, 4, 6))
    [path] = [
        p
        for p in shard_files(finished)
        if p.parts[-2:] == ("scale-cfg-3", "000004-000005.safetensors")
    ]
    assert np.array_equal(load_file(path)["digest"], alone.arrays["digest"])


def test_a_killed_run_goes_on_and_ends_the_same(finished: Path, tmp_path: Path) -> None:
    arguments = [written(tmp_path), "--output", str(tmp_path / "out"), "--device", "cpu"]
    line = [sys.executable, "-m", "tools.evaluate", *arguments, "--workers", "2"]
    running = subprocess.Popen(line, cwd=ROOT, stderr=subprocess.DEVNULL)
    while not shard_files(tmp_path / "out"):
        assert running.poll() is None, "ended before it could be killed"
        time.sleep(0.05)
    running.kill()
    running.wait()
    there = {path: path.stat().st_mtime_ns for path in shard_files(tmp_path / "out")}
    assert there
    assert main(arguments) == 0
    assert {path: path.stat().st_mtime_ns for path in there} == there, "made a sample twice"
    assert numbers(tmp_path / "out") == numbers(finished)


def test_a_finished_run_makes_nothing(finished: Path, tmp_path: Path, monkeypatch: Any) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("made a sample")

    monkeypatch.setattr(Worker, "make", never)
    before = numbers(finished)
    assert main([written(tmp_path), "--output", str(finished), "--device", "cpu"]) == 0
    assert numbers(finished) == before


def test_a_damaged_shard_is_made_again(tmp_path: Path) -> None:
    arguments = [
        written(tmp_path, rows=[{"label": "plain"}], seeds=1),
        "--output",
        str(tmp_path / "out"),
    ]
    assert main(arguments) == 0
    before, [first, _] = numbers(tmp_path / "out"), shard_files(tmp_path / "out")
    first.write_bytes(first.read_bytes()[:100])
    assert main(arguments) == 0
    assert numbers(tmp_path / "out") == before


SCRIPT = """
import json, os, signal, sys
from pathlib import Path
from tools.evaluate import command, runners
from tools.evaluate.plan_file import read_plan
from tools.evaluate.problems import EvaluationError
from tools.evaluate.version import version
from tools.evaluate.work import Order

def order(path, own_version=None):
    plan = read_plan(Path(path))
    return Order(plan, "", "cpu", own_version or version(), command.check(plan, Path()))
"""


def script(lines: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run lines that use `runners.processes`, whose workers are started from outside of pytest."""
    line = [sys.executable, "-c", SCRIPT + lines, *arguments]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True)


KILL_ONE = """
given = order(sys.argv[1])
shards, made = command.shards_of(given.plan), []
for outcome in runners.processes(given, shards, 2):
    made.append(outcome.shard)
    if len(made) == 1:
        os.kill(int(outcome.notes["pid"]), signal.SIGKILL)
assert sorted(made, key=str) == sorted(shards, key=str), made
"""
OTHER_VERSION = """
try:
    list(runners.processes(order(sys.argv[1], "0123, torch 1.0"), shards, 1))
except EvaluationError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """Both of these, one after the other in one process; importing torch takes longer than they do."""
    return script(KILL_ONE + OTHER_VERSION, written(tmp_path_factory.mktemp("workers")))


def test_a_killed_worker_is_replaced_and_no_shard_is_lost(workers: Any) -> None:
    assert workers.returncode == 0, workers.stderr


def test_a_changed_plan_is_refused_with_the_difference(
    finished: Path, tmp_path: Path, capsys: Any
) -> None:
    before = [path.read_bytes() for path in shard_files(finished)]
    changed = written(tmp_path, sampler={"top_p": 0.9, "top_k": 0}, batch=4)
    assert main([changed, "--output", str(finished)]) == 1
    said = capsys.readouterr().err
    assert "settings.scale-cfg-3.sampler.top_p: was 0.95, is now 0.9" in said
    assert "batch: was 2, is now 4" in said
    assert [path.read_bytes() for path in shard_files(finished)] == before


def test_words_of_a_plan_may_change(finished: Path, tmp_path: Path) -> None:
    assert main([written(tmp_path, name="another", about="more"), "--output", str(finished)]) == 0
    assert (finished / "report.md").read_text(encoding="utf-8").startswith("# another\n\nmore\n")
    assert main([written(tmp_path), "--output", str(finished)]) == 0


def test_a_worker_of_another_version_is_refused(workers: Any, tmp_path: Path) -> None:
    order = order_of(written(tmp_path), version="0123456789abcdef, torch 1.0")
    with pytest.raises(EvaluationError, match="another version of the pack"):
        Worker(order)
    assert workers.stdout.startswith("the worker on ")
    assert "has another version of the pack" in workers.stdout


def test_other_weights_are_refused(tmp_path: Path, capsys: Any) -> None:
    wrong = {"scale": {"bundled": "scale", "sha256": {"transformer": "abcd"}}}
    assert main([written(tmp_path, models=wrong), "--output", str(tmp_path / "out")]) == 1
    assert "emoji_var.safetensors is not the transformer the plan names" in capsys.readouterr().err
    order = order_of(written(tmp_path), hashes={"scale": {"transformer": "0", "tokenizer": "0"}})
    with pytest.raises(EvaluationError, match="are not those of the machine that started"):
        Worker(order).make(Shard(0, 0, 2))


@pytest.mark.parametrize(
    "changes,said",
    [
        ({"models": {"scale": {"bundled": "huge"}}}, "no bundled model 'huge'"),
        ({"models": {"scale": {"transformer": "none.pth"}}}, "none.pth is not there"),
        ({"models": {"scale": {"transformer": "plan.yaml"}}}, "plan.yaml"),
        ({"judges": ["critic"]}, "unknown judge 'critic'"),
        ({"conditions": {"classes": [999]}}, "has 159 classes|classes: correct"),
        ({"conditions": {"prompts": "none.txt"}}, "the prompts cannot be read"),
        ({"rows": [{"label": "a", "chain": [{"hidden_cfg": {}}]}]}, "a on 'scale'"),
    ],
)
def test_what_cannot_be_made_is_said(changes: dict, said: str, tmp_path: Path, capsys: Any) -> None:
    arguments = [written(tmp_path, **changes), "--output", str(tmp_path / "out")]
    assert main([*arguments, "--weights", str(tmp_path), "--device", "cpu"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and re.search(said, error) and "Traceback" not in error


def test_numbers_that_are_not_finite_are_not_stored(
    tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    real = work.decode

    def broken(model: Any, features: Any) -> Any:
        images = real(model, features)
        return images * float("nan") if broken.calls.pop(0) else images

    broken.calls = [False, True, False, False]
    monkeypatch.setattr(work, "decode", broken)
    arguments = [written(tmp_path, rows=[{"label": "plain"}], batch=2, shard=2), "--device", "cpu"]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert (
        "bundled.features of 2 of the samples 2 to 3 is not a finite number (first: sample 2)"
        in said
    )
    assert len(shard_files(tmp_path / "out")) == 3
    assert "Not finished" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    monkeypatch.setattr(work, "decode", real)
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 0
    assert "Not finished" not in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


def test_a_full_disk_keeps_what_is_finished(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    real = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if "000004" in path.name:
            real(path, content[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    arguments = [written(tmp_path, rows=[{"label": "plain"}]), "--output", str(tmp_path / "out")]
    assert main(arguments) == 1
    assert "the disk is full" in capsys.readouterr().err
    assert len(shard_files(tmp_path / "out")) == 2 and not list((tmp_path / "out").rglob("*.part"))
    monkeypatch.setattr(Path, "write_bytes", real)
    assert main(arguments) == 0


def test_two_runs_do_not_write_into_one_folder(finished: Path, tmp_path: Path, capsys: Any) -> None:
    with FileLock(finished / ".lock"):
        assert main([written(tmp_path), "--output", str(finished)]) == 1
    assert "another run is writing here" in capsys.readouterr().err
