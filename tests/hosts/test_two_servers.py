"""`tools/queue_workflow.py` with two real hosts, one of which goes away; in words where it is used wrongly."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ar_guidance.tools import queue_workflow
from ar_guidance.tools.dev.host_process import HostProcess, start_host
from ar_guidance.tools.dev.hosts import NEWEST

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / "workflows" / "api" / "01 First image - no download.json"


@pytest.fixture
def two_hosts(tmp_path: Path) -> Iterator[list[HostProcess]]:
    """Two servers with folders of their own."""
    started: list[HostProcess] = []
    try:
        started += [start_host(NEWEST, tmp_path / f"host-{n}") for n in range(2)]
        yield started
    finally:
        for one in started:
            one.stop()


def small_workflow(folder: Path) -> Path:
    """The first example with one image a run."""
    content = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    content["2"]["inputs"]["classes"] = "face"
    content["3"]["inputs"]["batch_size"] = 1
    path = folder / "workflow.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.host
def test_two_servers_share_the_jobs_and_one_may_go_away(
    two_hosts: list[HostProcess], tmp_path: Path
) -> None:
    script = str(ROOT / "tools" / "queue_workflow.py")
    servers = [part for one in two_hosts for part in ("--server", one.url)]
    line = [sys.executable, "-I", script, str(small_workflow(tmp_path)), *servers]
    line += ["--seeds", "6", "--set", "4.scale=2,4", "--output", str(tmp_path / "images")]
    running = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said: list[str] = []
    assert running.stdout is not None
    while not all(any(line.startswith(one.url) for line in said) for one in two_hosts):
        said.append(running.stdout.readline())
        assert said[-1], running.communicate()[1]
    two_hosts[0].stop()
    out, err = running.communicate(timeout=240)
    assert running.returncode == 0, err
    images = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert len(images) == 12 and images[0] == "0000_seed=0_scale=2_0.png"
    pixels = {(tmp_path / "images" / name).read_bytes() for name in images}
    assert len(pixels) == 12
    gone = [line for line in (out + "".join(said)).splitlines() if two_hosts[0].url in line]
    assert len(gone) < 12
    before = time.time()
    line[line.index(two_hosts[0].url)] = two_hosts[1].url
    again = subprocess.run(line, capture_output=True, text=True)
    assert again.returncode == 0 and not again.stdout and time.time() > before


def test_jobs_are_every_combination() -> None:
    workflow = {"3": {"class_type": "S", "inputs": {"seed": 0, "x": 1}}}
    jobs = queue_workflow.jobs_of(workflow, [7, 8], ["3.x=1,two"])
    assert [job.name for job in jobs] == [
        "0000_seed=7_x=1",
        "0001_seed=7_x=two",
        "0002_seed=8_x=1",
        "0003_seed=8_x=two",
    ]
    assert jobs[3].prompt(workflow)["3"]["inputs"] == {"seed": 8, "x": "two"}
    assert workflow["3"]["inputs"] == {"seed": 0, "x": 1}


def test_wrong_use_is_said(tmp_path: Path) -> None:
    (tmp_path / "ui.json").write_text('{"nodes": []}')
    with pytest.raises(SystemExit, match=r"Export \(API\)"):
        queue_workflow.read_workflow(tmp_path / "ui.json")
    with pytest.raises(SystemExit, match="not a workflow"):
        queue_workflow.read_workflow(tmp_path / "none.json")
    workflow = {"1": {"class_type": "X", "inputs": {}}}
    with pytest.raises(SystemExit, match="no node of this workflow has a seed"):
        queue_workflow.jobs_of(workflow, [1], [])
    with pytest.raises(SystemExit, match="node 9 has no input 'y'"):
        queue_workflow.jobs_of(workflow, [], ["9.y=1"])


def test_no_server_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(WORKFLOW), "--server", "http://127.0.0.1:1", "--output", str(tmp_path)]
    assert queue_workflow.main(arguments) == 1
    assert "no server is left, and 1 jobs are not done" in capsys.readouterr().err
