"""Benchmarks that need a ComfyUI beside them still run."""

import subprocess
import sys
from pathlib import Path

import pytest
from ar_guidance.tools.dev.host_process import host_environment
from ar_guidance.tools.dev.hosts import BY_VERSION

SCRIPT = Path(__file__).with_name("time_pictures.py")


@pytest.mark.parametrize("version", sorted(BY_VERSION))
def test_a_image_of_either_kind_is_timed(version: str) -> None:
    command = [sys.executable, str(SCRIPT), str(BY_VERSION[version].folder)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=host_environment()
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("SECONDS")]
    assert len(lines) == 2
    assert all(float(number) > 0 for line in lines for number in line[1:])
