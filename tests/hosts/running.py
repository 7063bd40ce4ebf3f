"""The fixture `host`: both ComfyUI versions with this pack, each started once per test session."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ar_guidance.tools.dev.console import Problem
from ar_guidance.tools.dev.host_client import HostClient, OnEvent, Result
from ar_guidance.tools.dev.host_process import HostProcess, host_environment, start_host
from ar_guidance.tools.dev.hosts import BY_VERSION, Host


class RunningHost:
    """A started ComfyUI and a client for it."""

    def __init__(self, process: HostProcess) -> None:
        self.process = process
        self.client = HostClient(process.url)
        self.version = process.host.version
        self.url = process.url
        self.models = process.models  # drop checkpoint files here
        self.input = process.base / "input"
        self.output = process.output

    def run(
        self,
        prompt: dict[str, Any],
        workflow: dict[str, Any] | None = None,
        on_event: OnEvent | None = None,
        timeout: float = 300,
    ) -> Result:
        """Queue a prompt in API format and wait for its end."""
        return self.client.run(prompt, workflow, on_event, timeout)

    def object_info(self, node: str = "") -> dict[str, Any]:
        """What the host tells the frontend about its nodes."""
        return self.client.object_info(node)

    def run_and_cancel(self, prompt: dict[str, Any], node: str, after: int = 0) -> Result:
        """Run a prompt and cancel it once its node has reported more than `after` steps.

        Which steps are reported is the host's choice: newer ones leave out what comes within 0.1 s of the last.
        """
        cancelled = False

        def cancel(kind: str, data: dict[str, Any]) -> None:
            nonlocal cancelled
            reported = kind == "progress" and data.get("node") == node and data["value"] > after
            if reported and not cancelled:
                cancelled = True
                self.client.interrupt()

        return self.run(prompt, on_event=cancel)


def run_inside(host: Host, script: str, *arguments: object, timeout: float = 300) -> str:
    """What one of the scripts beside this file prints inside a host's Python path; its end is shown where it fails."""
    command = [sys.executable, Path(__file__).with_name("inside.py"), script, host.folder]
    done = subprocess.run(
        [str(part) for part in (*command, *arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=host_environment(),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


TEST_NODES = tuple(Path(__file__).with_name(name) for name in ("tiny_diffusion", "given_text"))
RUNNING = pytest.StashKey[dict[str, RunningHost]]()


@pytest.fixture(scope="session", params=sorted(BY_VERSION))
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunningHost:
    """Each test that takes this runs on both hosts."""
    return started(BY_VERSION[request.param], request.config, tmp_path_factory)


def started(
    wanted: Host, config: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> RunningHost:
    """The running host, started on first use and stopped when the session ends."""
    running = config.stash.setdefault(RUNNING, {})
    key = wanted.frontend.target
    if key not in running:
        running[key] = start(wanted, tmp_path_factory.mktemp(f"host-{wanted.version}"))
        config.add_cleanup(running[key].process.stop)
    return running[key]


def start(wanted: Host, base: Path) -> RunningHost:
    """Boot one host with the pack and the nodes that only tests need, or fail with what to do."""
    if not (wanted.folder.is_dir() and wanted.web_root.is_dir()):
        pytest.fail(f"ComfyUI {wanted.version} is not installed; `python3 dev.py test` does that")
    for folder in TEST_NODES:
        shutil.copytree(folder, base / "custom_nodes" / folder.name)
    try:
        extra = (
            "--preview-method",
            "auto",
        )  # off by default, and then previews would not be tested
        return RunningHost(start_host(wanted, base, extra=extra))
    except Problem as problem:
        pytest.fail(str(problem))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a host, so that `-m 'not host'` leaves it out."""
    for item in items:
        if "host" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.host)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show the end of the host's log beside a failure."""
    report = yield
    running = getattr(item, "funcargs", {}).get("host")
    if report.failed and isinstance(running, RunningHost):  # type: ignore[attr-defined]
        report.sections.append((f"log of ComfyUI {running.version}", running.process.log_tail()))  # type: ignore[attr-defined]
    return report  # type: ignore[return-value]
