"""Shards as tasks of a cluster, without Ray: a module stands in for it. With Ray: test_cluster.py."""

import importlib.util
import os
import pickle
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ar_guidance.tests.evaluate.plans import written
from ar_guidance.tools.evaluate import cluster, command, work
from ar_guidance.tools.evaluate.command import main, parser, ready
from ar_guidance.tools.evaluate.plan_file import read_plan
from ar_guidance.tools.evaluate.problems import EvaluationError
from ar_guidance.tools.evaluate.shards import shards_of
from ar_guidance.tools.evaluate.version import version
from ar_guidance.tools.evaluate.work import Order, Worker

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "tools" / "evaluate" / "examples"
STAND_IN = Path(__file__).parent / "stand_in"
TINY = {"rows": [{"label": "plain"}], "seeds": 1}


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """What stands in for Ray; no worker is left of a test before."""
    spec = importlib.util.spec_from_file_location("ray", STAND_IN / "ray.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "ray", module)
    spec.loader.exec_module(module)
    cluster._workers.clear()
    yield module
    cluster._workers.clear()


def order_of(path: str) -> Order:
    plan = read_plan(Path(path))
    return Order(plan, "", "cpu", version(), command.check(plan, Path()))


def arguments(folder: Path, out: str, **changes: Any) -> list[str]:
    return [written(folder, **TINY | changes), "--device", "cpu", "--output", str(folder / out)]


def numbers(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in ("report.json", "report.md")]


def test_tasks_in_any_order_make_the_report_of_one_worker(ray: Any, tmp_path: Path) -> None:
    loaded, real = [], Worker.__post_init__

    def noted(worker: Worker) -> None:
        loaded.append(worker)
        real(worker)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Worker, "__post_init__", noted)
        assert main([*arguments(tmp_path, "tasks"), "--ray"]) == 0
    assert len(loaded) == 1, "a process makes its worker, and so its model, once"
    assert main(arguments(tmp_path, "alone")) == 0
    assert numbers(tmp_path / "tasks") == numbers(tmp_path / "alone")


def test_what_comes_back_is_numbers(tmp_path: Path) -> None:
    """Less than a kilobyte a sample with the bundled judge; an image of 64 x 64 has 12."""
    order = order_of(written(tmp_path))
    made = cluster.make_shard(order, shards_of(order.plan)[0])
    cluster._workers.clear()
    assert isinstance(made, work.Made) and not made.files
    assert len(pickle.dumps(made)) < 1024 * (made.shard.count + 1)


def test_a_worker_of_another_version_is_named(ray: Any, tmp_path: Path) -> None:
    order = replace(order_of(written(tmp_path)), version="0123, torch 1.0")
    with pytest.raises(EvaluationError, match="has another version of the pack or of torch"):
        list(cluster.cluster(order, shards_of(order.plan), ""))


def test_samples_that_are_not_numbers_cost_their_shard(
    ray: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    real, calls = work.decode, [True, False]
    broken = lambda *given: real(*given) * (float("nan") if calls.pop() else 1)  # noqa: E731
    monkeypatch.setattr(work, "decode", broken)
    assert main([*arguments(tmp_path, "out"), "--ray"]) == 1
    assert "is not a finite number" in capsys.readouterr().err
    assert len(list((tmp_path / "out" / "samples").rglob("*.safetensors"))) == 1


def test_workers_that_die_again_and_again_end_the_run(
    ray: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    real, calls = ray.get, []

    def get(reference: Any) -> Any:
        found = real(reference)
        calls.extend([1] if isinstance(found, work.Made) else [])
        if len(calls) == 2:
            raise ray.RayError("the node died\nat some length")
        return found

    monkeypatch.setattr(ray, "get", get)
    assert main([*arguments(tmp_path, "out"), "--ray"]) == 1
    said = capsys.readouterr().err
    assert "workers died 6 times" in said and "the node died. What is finished is kept" in said
    assert len(list((tmp_path / "out" / "samples").rglob("*.safetensors"))) == 1


def test_without_ray_it_is_said_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main([*arguments(tmp_path, "out"), "--ray"]) == 1
    assert "pip install -r tools/evaluate/requirements.txt" in capsys.readouterr().err


def programs(folder: Path) -> Path:
    """A folder with `ray`, which does what the entry point of a job is, in the job's folder, and `python`."""
    folder.mkdir()
    job = 'while [ "$1" != -- ]; do shift; done; shift; cd "$JOB_FOLDER"; exec "$@"'
    for name, line in (("ray", job), ("python", f'exec {shlex.quote(sys.executable)} "$@"')):
        (folder / name).write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.skipif(shutil.which("bash") is None, reason="the example is a shell script")
def test_the_example_of_a_job_runs_where_a_cluster_would_run_it(tmp_path: Path) -> None:
    """Its entry point, in a copy of the pack under a name Ray gives, with what Ray sets."""
    hidden = shutil.ignore_patterns(".*", "__pycache__", "golden", "docs", "demo", "workflows")
    job = tmp_path / "_ray_pkg_0123456789abcdef"
    shutil.copytree(ROOT, job, ignore=hidden)
    there = os.environ | {
        "PATH": f"{programs(tmp_path / 'bin')}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(STAND_IN),
        "JOB_FOLDER": str(job),
        "RAY_JOB_CONFIG_JSON_ENV_VAR": "{}",
    }
    line = ["bash", str(EXAMPLES / "job.sh"), "http://127.0.0.1:8265", *arguments(tmp_path, "out")]
    done = subprocess.run(line, cwd=ROOT, env=there, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert main(arguments(tmp_path, "alone")) == 0
    assert numbers(tmp_path / "out") == numbers(tmp_path / "alone")


def commands() -> list[str]:
    """Every `python -m tools.evaluate` of the document and the examples."""
    text = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.S)).replace("\\\n", " ")
    jobs = [yaml.safe_load((EXAMPLES / "rayjob.yaml").read_text(encoding="utf-8"))]
    lines = [*blocks.splitlines(), *(shlex.split(job["spec"]["entrypoint"])[-1] for job in jobs)]
    found = [re.search(r"python -m tools\.evaluate (.*)", line) for line in lines]
    return [match.group(1) for match in found if match]


def test_documented_commands_are_commands() -> None:
    assert len(commands()) >= 9
    for line in commands():
        options = parser().parse_args(shlex.split(line, comments=True))
        assert options.plan in ready() or options.plan == "my-plan.yaml", line


@pytest.mark.skipif(shutil.which("bash") is None, reason="the examples are shell scripts")
@pytest.mark.parametrize("name", ["job.sh", "slurm.sh"])
def test_examples_are_shell_scripts(name: str) -> None:
    subprocess.run(["bash", "-n", str(EXAMPLES / name)], check=True)
