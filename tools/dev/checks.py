"""`dev.py test`: formatter, linter, type checker and the test suite."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .chromium import prepare_chromium
from .console import ROOT, say
from .environment import VENV, prepare_environment, scripts_folder
from .hosts import BY_VERSION, NEWEST_FRONTEND, prepare_host

STATIC_CHECKS = (("ruff", "format", "--check"), ("ruff", "check"), ("pyright",))
FAST = ("-m", "not host and not browser")


def run_tests(fast: bool, pytest_arguments: Sequence[str]) -> int:
    """Prepare what is needed, run all checks even if one fails, pytest last; the exit status."""
    prepare_environment()
    if not fast:
        for host in (*BY_VERSION.values(), NEWEST_FRONTEND):
            prepare_host(host)
        prepare_chromium()
    failed = [" ".join(check) for check in STATIC_CHECKS if run_tool(*check) != 0]
    for check in failed:
        say(f"FAILED: {check}")
    status = run_tool("pytest", *(FAST if fast else ()), *pytest_arguments)
    return status or (1 if failed else 0)


def run_tool(name: str, *arguments: str) -> int:
    """Run a program of the environment in the repository; its exit status."""
    say(f"== {' '.join([name, *arguments])}")
    return subprocess.run([program(name), *arguments], cwd=ROOT, env=tool_environment()).returncode


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
