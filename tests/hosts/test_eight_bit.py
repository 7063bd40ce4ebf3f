"""8-bit floats in every supported ComfyUI: all transformer families load and compute."""

import pytest
from ar_guidance.tests.hosts.running import run_inside
from ar_guidance.tests.tiny import FAMILIES
from ar_guidance.tests.tiny_tokens import TOKEN_FAMILIES
from ar_guidance.tools.dev.hosts import BY_VERSION

pytestmark = pytest.mark.host


@pytest.mark.parametrize("version", sorted(BY_VERSION))
def test_every_family_computes_with_8_bit_weights(version: str) -> None:
    printed = run_inside(BY_VERSION[version], "eight_bit")
    assert printed.count("in 8 bits") == 4 * (len(FAMILIES) + len(TOKEN_FAMILIES))
