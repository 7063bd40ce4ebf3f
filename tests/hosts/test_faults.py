"""Faults in real hosts: beside an image, after it, and many prompts at once; and a port that is taken."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from ar_guidance.tests.hosts.running import RunningHost, run_inside
from ar_guidance.tools import faults, storm
from ar_guidance.tools.dev.host_process import PortTaken, start_host
from ar_guidance.tools.dev.hosts import BY_VERSION

BUNDLED = Path(__file__).resolve().parents[2] / "bundled"
FILES = [str(BUNDLED / f"emoji_{name}.safetensors") for name in ("var", "tokenizer")]


@pytest.mark.host
@pytest.mark.parametrize("version", sorted(BY_VERSION))
def test_an_image_is_a_result(version: str, tmp_path: Path) -> None:
    host = BY_VERSION[version]
    assert "all kept" in run_inside(host, "faults_inside", tmp_path, *FILES, timeout=600)


def test_a_short_storm(host: RunningHost) -> None:
    report = storm.storm(host.process, host.process, prompts=14, cancels=3, every=2)
    assert report.wrong == [] and report.silent == 0 and report.answers > 3
    assert report.images > 0 and report.different == 0
    assert sum(report.ends.values()) == 14


@pytest.mark.host
@pytest.mark.parametrize("version", sorted(BY_VERSION))
def test_faults_that_are_real(version: str, tmp_path: Path) -> None:
    if not faults.possible():
        pytest.skip("file systems cannot be mounted here")
    # A server of its own: oneDNN may refuse new shapes in a process that once had no room for its code.
    host = start_host(BY_VERSION[version], tmp_path)
    try:
        found = [*faults.disk_faults(host), *faults.memory_faults(host)]
    finally:
        host.stop()
    assert len(found) == 10 and [fault for fault in found if fault.wrong] == []


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(PortTaken, match="is taken"):
            start_host(BY_VERSION[max(BY_VERSION)], tmp_path, other.getsockname()[1])
