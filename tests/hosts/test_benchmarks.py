"""Benchmarks that need a ComfyUI beside them still run."""

import pytest
from ar_guidance.tests.hosts.running import run_inside
from ar_guidance.tools.dev.hosts import BY_VERSION

pytestmark = pytest.mark.host


@pytest.mark.parametrize("version", sorted(BY_VERSION))
def test_an_image_of_either_kind_is_timed(version: str) -> None:
    printed = run_inside(BY_VERSION[version], "time_pictures")
    lines = [line.split() for line in printed.splitlines() if line.startswith("SECONDS")]
    assert len(lines) == 2
    assert all(float(number) > 0 for line in lines for number in line[1:])
