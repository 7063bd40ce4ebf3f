"""Linear layers in every supported ComfyUI: the host's numbers, without its work where a weight needs none."""

import pytest
from ar_guidance.tests.hosts.running import run_inside
from ar_guidance.tools.dev.hosts import BY_VERSION

pytestmark = pytest.mark.host


@pytest.mark.parametrize("version", sorted(BY_VERSION))
def test_a_weight_is_left_to_the_host_where_it_needs_something(version: str) -> None:
    printed = run_inside(BY_VERSION[version], "layers_inside").splitlines()
    told = [
        line
        for line in printed
        if line.endswith(("itself", "host", "]")) or line.startswith("cancelled")
    ]
    assert told == [
        "plain: itself",
        "no bias: itself",
        "half precision: itself",
        "kept in half precision: host",
        "patched weight: host",
        "patched bias: host",
        "bias is a buffer: [1.0]",
        "cancelled 6 x 1",
        "cancelled 1024 x 1",
        "cancelled 1024 x 5",
        "cancelled 1024 x 64",
    ]
