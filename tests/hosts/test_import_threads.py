"""The pack's import leaves OpenMP to the thread that runs prompts, in every supported ComfyUI."""

import json
import sys

import pytest
from ar_guidance.tests.hosts.running import run_inside
from ar_guidance.tests.threads import ALONE, TEAM
from ar_guidance.tools.dev.hosts import BY_VERSION


@pytest.mark.host
@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
@pytest.mark.parametrize("version", sorted(BY_VERSION))
def test_registering_the_nodes_computes_nothing_in_parallel(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ALONE.items():
        monkeypatch.setenv(name, value)
    before, after, parallel = json.loads(
        run_inside(BY_VERSION[version], "imports_inside").splitlines()[-1]
    )
    assert after == before
    assert parallel == after + TEAM - 1  # such an operation would have been seen
