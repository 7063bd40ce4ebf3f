"""A running ComfyUI: started on a free port in a folder of its own, stopped for certain."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .console import ROOT, Problem, tail
from .environment import has_cuda, python_path
from .hosts import Host

PACK_FOLDER = "ComfyUI-AR-Guidance"
LAUNCHER = Path(__file__).with_name("launch_host.py")
START_SECONDS = 600
EXAMPLE = "example.png"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
NOT_PART_OF_THE_PACK = (".*", "demo", "__pycache__")


class PortTaken(Problem):
    """Another program listens at the port."""


@dataclass
class HostProcess:
    """One ComfyUI server and the folders it works in."""

    host: Host
    base: Path  # holds models, custom_nodes, input, output, temp, user
    url: str
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def models(self) -> Path:
        """The model folder; files put here appear in the loaders on the next refresh."""
        return self.base / "models"

    @property
    def output(self) -> Path:
        """Where saved images arrive."""
        return self.base / "output"

    def log_tail(self, lines: int = 40) -> str:
        """The end of what the server printed."""
        return tail(self.log_text(), lines)

    def log_text(self) -> str:
        """What the server printed, without terminal colours."""
        return COLOUR.sub("", self.log.read_text(encoding="utf-8", errors="replace"))

    def stop(self) -> None:
        """Stop the server and wait until it is gone."""
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()


def start_host(
    host: Host, base: Path, port: int | None = None, extra: Sequence[str] = ()
) -> HostProcess:
    """Start a prepared host with this pack and wait until it answers; without `port`, at one that is free."""
    prepare_base(base)
    give_example(host, base)
    if port is not None:
        return start_at(port, host, base, extra)
    for _ in range(2):
        with suppress(PortTaken):
            return start_at(free_port(), host, base, extra)
    return start_at(free_port(), host, base, extra)


def start_at(port: int, host: Host, base: Path, extra: Sequence[str]) -> HostProcess:
    """`start_host` at that port.

    Raises:
        PortTaken: another program listens there by the time the host does.
    """
    if listens(port):
        raise PortTaken(
            f"port {port} is taken: another program answers there. Stop it, or choose another port"
        )
    log = base / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [
                str(python_path()),
                str(LAUNCHER),
                "--stop-with-stdin",
                str(host.folder),
                *host_arguments(host, base, port),
                *extra,
            ],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=host_environment(),
        )
    running = HostProcess(host, base, f"http://127.0.0.1:{port}", log, process)
    try:
        wait_until_ready(running)
    except BaseException:
        running.stop()
        raise
    return running


def prepare_base(base: Path) -> None:
    """Make the folders the host works in, with the pack among its custom nodes."""
    for name in ("models", "custom_nodes", "input", "output", "temp", "user"):
        (base / name).mkdir(parents=True, exist_ok=True)
    link_pack(base / "custom_nodes" / PACK_FOLDER)


def give_example(host: Host, base: Path) -> None:
    """Put the image that comes with ComfyUI where its Load Image looks; a workflow begins with it."""
    example = host.folder / "input" / EXAMPLE
    if example.is_file():
        shutil.copy(example, base / "input" / EXAMPLE)


def link_pack(place: Path) -> None:
    """Make the repository visible at `place`: a link, a junction, or where neither is allowed a fresh copy."""
    if place.is_symlink() and place.resolve() == ROOT:
        return
    if place.is_symlink() or place.is_file():
        place.unlink()
    elif place.exists():
        if place.resolve() == ROOT:  # a junction
            return
        shutil.rmtree(place)
    try:
        place.symlink_to(ROOT, target_is_directory=True)
    except OSError:
        junction = os.name == "nt" and subprocess.run(
            ["cmd", "/c", "mklink", "/J", place, ROOT], capture_output=True
        )
        if not junction or junction.returncode != 0:
            shutil.copytree(ROOT, place, ignore=shutil.ignore_patterns(*NOT_PART_OF_THE_PACK))


def host_arguments(host: Host, base: Path, port: int) -> list[str]:
    """The command line of ComfyUI."""
    return [
        *(
            [
                "--port",
                str(port),
                "--base-directory",
                str(base),
                "--user-directory",
                str(base / "user"),
            ]
        ),
        *(["--database-url", f"sqlite:///{(base / 'user' / 'comfyui.db').as_posix()}"]),
        *(["--front-end-root", str(host.web_root), "--disable-auto-launch", "--disable-api-nodes"]),
        *([] if has_cuda() else ["--cpu"]),
    ]


def host_environment() -> dict[str, str]:
    """The environment variables of the host: ours, offline."""
    return {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "PYTHONUNBUFFERED": "1",
    }


def listens(port: int) -> bool:
    """Whether a program answers at a port; asked before a host starts, for its answers would pass for the host's."""
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """A TCP port nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_ready(running: HostProcess) -> None:
    """Return when the server answers; a `Problem` with its log if it ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if running.process.poll() is not None:
            text = f"ComfyUI {running.host.version} ended while starting:\n{running.log_tail()}"
            raise (PortTaken if "address already in use" in text.lower() else Problem)(text)
        try:
            with urllib.request.urlopen(f"{running.url}/system_stats", timeout=5) as reply:
                json.load(reply)
                return
        except (urllib.error.URLError, OSError, ValueError):
            time.sleep(0.25)
    raise Problem(
        f"ComfyUI {running.host.version} did not answer in {START_SECONDS} s:\n{running.log_tail()}"
    )
