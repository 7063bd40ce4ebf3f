"""Loading holds the weights once, and of the file no more than is being read."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ar_guidance.benchmarks.load import KINDS
from ar_guidance.tools.dev.console import ROOT
from ar_guidance.tools.dev.hosts import BY_VERSION

pytestmark = pytest.mark.host

MEGABYTES = 200  # in single precision
MOST = 1.1  # of the weights' bytes
BESIDES = 8e6  # bytes whatever the size: what is looked at together, and the libraries' own


@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere pages of a mapped file are the system's"
)
def test_loading_takes_little_more_than_the_weights(tmp_path: Path) -> None:
    found = tmp_path / "load.json"
    command = [sys.executable, "-m", "benchmarks.load", "--megabytes", str(MEGABYTES)]
    command += ["--host", str(BY_VERSION["0.30.0"].folder), "--json", str(found)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = json.loads(found.read_text())["rows"]
    assert [row["file"] for row in rows] == list(KINDS)
    for row in rows:
        assert row["peak MB"] * 1e6 <= MOST * row["weights MB"] * 1e6 + BESIDES, row
