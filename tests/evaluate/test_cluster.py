"""The same samples on a Ray cluster whose nodes are killed and join in mid-run. Needs Ray, which the pack does not:

pip install -r tools/evaluate/requirements.txt && pytest -m ray tests/evaluate/test_cluster.py
"""

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ar_guidance.tests.evaluate.plans import written
from ar_guidance.tools.evaluate.command import main

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.ray
RAY, DASHBOARD = str(Path(sys.executable).parent / "ray"), 28265

NODES = """
import sys
from pathlib import Path
from ray.cluster_utils import Cluster
import ray
from tools.evaluate import command
from tools.evaluate.shards import Made
from tools.evaluate.store import Store

killed, joining = map(int, sys.argv[1:3])
nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
workers = [nodes.add_node(num_cpus=1) for _ in range(2)]
real, seen = Store.put, []

def put(store, made):
    real(store, made)
    seen.append(made.notes["pid"])
    if len(set(seen)) == 2 and len(workers) == 2:  # both nodes have worked
        for _ in range(killed):
            nodes.remove_node(workers.pop(), allow_graceful=False)
        print("killed", killed, "after", len(seen), "shards", flush=True)
        for _ in range(joining):
            nodes.add_node(num_cpus=1)

Store.put = put
status = command.main([*sys.argv[3:], "--ray", nodes.address])
print("shards stored:", len(seen), "processes:", len(set(seen)), flush=True)
ray.shutdown()
nodes.shutdown()
sys.exit(status)
"""


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    """Whether there is a Ray to test with."""
    pytest.importorskip("ray")


def numbers(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in ("report.json", "report.md")]


@pytest.mark.parametrize(("killed", "joining", "processes"), [(1, 0, 2), (2, 1, 3)])
def test_a_killed_node_costs_its_open_shards_only(
    killed: int, joining: int, processes: int, tmp_path: Path
) -> None:
    """One of two nodes; and both, after which the rest waits for a node that joins."""
    plan = written(tmp_path, each=8, batch=1, shard=1)
    arguments = [plan, "--device", "cpu", "--output"]
    nodes = [NODES, str(killed), str(joining)]
    line = [sys.executable, "-c", *nodes, *arguments, str(tmp_path / "cluster")]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"killed {killed} after" in done.stdout
    told = f"shards stored: 32 processes: {processes}\n"
    assert told in done.stdout, "a sample was lost or made twice, or a node did nothing"
    assert main([*arguments, str(tmp_path / "alone")]) == 0
    assert numbers(tmp_path / "cluster") == numbers(tmp_path / "alone")


def test_ray_of_this_machine_needs_no_cluster(tmp_path: Path) -> None:
    plan = written(tmp_path, seeds=1)
    line = [sys.executable, "-m", "tools.evaluate", plan, "--device", "cpu", "--ray", "--output"]
    done = subprocess.run([*line, str(tmp_path / "out")], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert main([plan, "--device", "cpu", "--output", str(tmp_path / "alone")]) == 0
    assert numbers(tmp_path / "out") == numbers(tmp_path / "alone")


def test_no_cluster_is_said(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "tools.evaluate", written(tmp_path), "--ray", "127.0.0.1:1"]
    done = subprocess.run(
        [*line, "--output", str(tmp_path / "out")], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1 and "no Ray cluster answers at '127.0.0.1:1'" in done.stderr


@contextmanager
def head_node() -> Iterator[dict[str, str]]:
    """`ray start` on this machine, on ports of its own; the environment for its commands. Ends no other Ray."""
    environment = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    ports = ["--port", "26379", "--dashboard-port", str(DASHBOARD)]
    line = [RAY, "start", "--head", "--block", "--num-cpus", "2", *ports]
    with tempfile.TemporaryDirectory(prefix="ray") as folder:
        head = subprocess.Popen([*line, "--temp-dir", folder], cwd=ROOT, env=environment)
        try:
            while not answers(DASHBOARD):
                assert head.poll() is None, "Ray did not start"
                time.sleep(0.5)
            yield environment
        finally:
            head.terminate()
            head.wait(60)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_a_job_is_submitted_as_documented(tmp_path: Path) -> None:
    """`ray start` and `ray job submit`."""
    plan, out = written(tmp_path, seeds=1), str(tmp_path / "out")
    job = [RAY, "job", "submit", "--address", f"http://127.0.0.1:{DASHBOARD}", "--working-dir", "."]
    command = [sys.executable, "-m", "tools.evaluate", plan, "--device", "cpu", "--output", out]
    with head_node() as environment:
        line = [*job, "--", *command, "--ray"]
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert main([plan, "--device", "cpu", "--output", str(tmp_path / "alone")]) == 0
    assert numbers(tmp_path / "out") == numbers(tmp_path / "alone")
