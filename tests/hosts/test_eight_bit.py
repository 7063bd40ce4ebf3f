"""8-bit floats in every supported ComfyUI: all transformer families load and compute."""

import subprocess
import sys
from pathlib import Path

import pytest
from ar_guidance.tests.tiny import FAMILIES
from ar_guidance.tests.tiny_tokens import TOKEN_FAMILIES
from ar_guidance.tools.dev.host_process import host_environment
from ar_guidance.tools.dev.hosts import BY_VERSION


@pytest.mark.parametrize("version", sorted(BY_VERSION))
def test_every_family_computes_with_8_bit_weights(version: str) -> None:
    script = Path(__file__).with_name("eight_bit.py")
    command = [sys.executable, str(script), str(BY_VERSION[version].folder)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=host_environment()
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("in 8 bits") == 4 * (len(FAMILIES) + len(TOKEN_FAMILIES))
