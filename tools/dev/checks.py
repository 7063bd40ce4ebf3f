"""`dev.py test`: formatter, linter, type checker and the test suite."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .chromium import prepare_chromium
from .console import ROOT, say
from .environment import VENV, prepare_environment, scripts_folder
from .hosts import BY_VERSION, NEWEST_FRONTEND, prepare_host

STATIC_CHECKS = (("ruff", "format", "--check"), ("ruff", "check"), ("pyright",))
# In as many processes as there are cores, one thread each; what boots ComfyUI follows, one server at a time.
FAST = (
    *("-m", "not host and not browser", "--numprocesses", "logical", "--dist", "loadfile"),
    "--no-loadscope-reorder",  # else the few long tests would begin last, and one core wait for them
    "--ignore=tests/browser",  # no test there is fast, and every process would read them all
)
BOOTED = ("-m", "host or browser")
NOTHING_TO_RUN = 5  # pytest's exit status where no test was chosen


def run_tests(fast: bool, pytest_arguments: Sequence[str]) -> int:
    """Prepare what is needed, run all checks even if one fails, the static ones beside the tests; the exit status."""
    prepare_environment()
    if not fast:
        for host in (*BY_VERSION.values(), NEWEST_FRONTEND):
            prepare_host(host)
        prepare_chromium()
    with ThreadPoolExecutor(1) as beside:
        static = beside.submit(lambda: [checked(*check) for check in STATIC_CHECKS])
        statuses = [run_tool("pytest", *FAST, *pytest_arguments, OMP_NUM_THREADS="1")]
        if not fast:
            statuses.append(run_tool("pytest", *BOOTED, *pytest_arguments))
        passed = [report_check(done) for done in static.result()]
    return test_status(statuses) or (0 if all(passed) else 1)


def checked(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a static check; what it printed is kept until the tests have."""
    line = [str(program(name)), *arguments]
    return subprocess.run(line, cwd=ROOT, env=tool_environment(), capture_output=True, text=True)


def report_check(done: subprocess.CompletedProcess[str]) -> bool:
    """Show what a check said; whether it passed."""
    passed = done.returncode == 0
    name = " ".join([Path(done.args[0]).stem, *done.args[1:]])
    say(f"{'passed' if passed else 'FAILED'}: {name}")
    if not passed:
        print(done.stdout + done.stderr, flush=True)
    return passed


def test_status(statuses: Sequence[int]) -> int:
    """The first failure among runs of pytest; a run without tests is none, unless all are."""
    failures = [status for status in statuses if status not in (0, NOTHING_TO_RUN)]
    return failures[0] if failures else min(statuses)


def run_tool(name: str, *arguments: str, **variables: str) -> int:
    """Run a program of the environment in the repository, with further environment `variables`; its exit status."""
    say(f"== {' '.join([name, *arguments])}")
    return subprocess.run(
        [program(name), *arguments], cwd=ROOT, env={**tool_environment(), **variables}
    ).returncode


def program(name: str) -> Path:
    """The full path of a program in the environment."""
    return scripts_folder() / (f"{name}.exe" if os.name == "nt" else name)


def tool_environment() -> dict[str, str]:
    """The variables of an activated environment, and quiet tools."""
    return {
        **os.environ,
        "VIRTUAL_ENV": str(VENV),
        "PATH": os.pathsep.join([str(scripts_folder()), os.environ.get("PATH", "")]),
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE"),
        "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1",
    }
