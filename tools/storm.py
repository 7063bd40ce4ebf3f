"""Load and faults against a real ComfyUI: many queued prompts of mixed families, cancels, exceptions, no memory, no place to write.

    python -m tools.storm                          # 200 prompts, on the newest host
    python -m tools.storm --prompts 60 --host 0.3.75

Checked: nothing hangs, every prompt ends as it should, the server answers throughout, every finished image lies in the output folder
and is, within a step of 255, the image of the same prompt run alone in a fresh server, and memory comes back.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import shutil
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ar_guidance.tests.hosts.graphs import generate, node
from PIL import Image

from .dev.host_client import HostClient, Result
from .dev.host_process import HostProcess, start_host
from .dev.hosts import BY_VERSION
from .pack import ROOT

Prompt = dict[str, Any]
TOKENWISE = "bundled: emoji 64x64, token by token"
NODES_FOR_TESTS = ROOT / "tests" / "hosts" / "given_text"
BLOCKED = "blocked"  # a file where a folder would have to be
ANSWER_SECONDS = 60
# What a prompt is -> how it must end when nobody cancels it.
KINDS = {
    "scale by scale": "success",
    "token by token": "success",
    "two guidances": "success",
    "a number out of range": "error",
    "an exception": "error",
    "no memory": "error",
    "output not writable": "error",
}
MIX = (*["scale by scale"] * 5, *["token by token"] * 3, *["two guidances"] * 3, *list(KINDS)[3:])


def prompt_of(kind: str, seed: int) -> Prompt:
    """The graph of a prompt, in API form."""
    checkpoint = TOKENWISE if kind == "token by token" else "bundled: emoji 64x64"
    graph = generate(checkpoint, classes=str(seed % 9), seed=seed)
    graph["save"]["inputs"]["filename_prefix"] = f"storm-{seed}"
    if kind == "two guidances":
        graph["more"] = node("ARGuidanceCFG", **graph["cfg"]["inputs"])
        graph["more"]["inputs"] |= {"ar_sampling": ["cfg", 0], "scale": 1.5}
        graph["decode"]["inputs"]["ar_sampling"] = ["more", 0]
    if kind == "a number out of range":
        graph["given"] = node("Given", value="1025")
        graph["sampler"]["inputs"]["batch_size"] = ["given", 0]
    if kind in ("an exception", "no memory"):
        graph["fails"] = node("Fails", image=["decode", 0], memory=kind == "no memory")
        graph["save"]["inputs"]["images"] = ["fails", 0]
    if kind == "output not writable":
        graph["save"]["inputs"]["filename_prefix"] = f"{BLOCKED}/storm-{seed}"
    return graph


@dataclass
class Report:
    """What a storm showed.

    Attributes:
        ends: (kind, status) -> how many prompts.
        wrong: prompts that did not end as they should.
        images: finished images compared with those of the same prompts alone.
        different: of those, how many differed.
        answers, silent: questions the server answered while it worked, and those it did not.
        slowest: seconds of the slowest answer.
        before, after: resident memory in bytes, models and results forgotten.
        seconds: of the storm.
    """

    ends: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    images: int = 0
    different: int = 0
    answers: int = 0
    silent: int = 0
    slowest: float = 0.0
    before: int = 0
    after: int = 0
    seconds: float = 0.0

    @property
    def growth(self) -> float:
        """Share by which memory grew."""
        return self.after / max(self.before, 1) - 1


def resident(process: HostProcess) -> int:
    """Bytes of a server's memory, after it was asked to forget models and results."""
    client = HostClient(process.url)
    client.free()
    client.run(prompt_of("a number out of range", 1))  # the host forgets between two prompts
    time.sleep(2)
    status = Path(f"/proc/{process.process.pid}/status").read_text(encoding="ascii")
    return (
        int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
        * 1024
    )


class Watch(threading.Thread):
    """Asks the server for its state again and again, and cancels what runs at random moments."""

    def __init__(self, url: str, report: Report, cancels: int, dice: random.Random) -> None:
        super().__init__(daemon=True)
        self.client, self.report, self.cancels, self.dice = HostClient(url), report, cancels, dice
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(self.dice.uniform(0.05, 0.5)):
            asked = time.monotonic()
            try:
                self.client.system_stats()
                if self.cancels and self.dice.random() < 0.3:
                    self.cancels -= 1
                    self.client.interrupt()
                self.report.answers += 1
            except OSError:
                self.report.silent += 1
            self.report.slowest = max(self.report.slowest, time.monotonic() - asked)


def wait_for(client: HostClient, result: Result, until: float) -> str:
    """How a queued prompt ended: success, error, interrupted, or hanging."""
    while time.monotonic() < until:
        client.read_history(result)
        status = result.history.get("status", {})
        if status:
            kinds = [kind for kind, _ in status.get("messages", [])]
            return "interrupted" if "execution_interrupted" in kinds else status["status_str"]
        time.sleep(0.1)
    return "hanging"


def pixels(client: HostClient, result: Result) -> np.ndarray:
    """The first image that a prompt saved."""
    file = Image.open(io.BytesIO(client.image(result.images[0])))
    assert b"NaN" not in json.dumps(file.info, default=str).encode()
    return np.asarray(file.convert("RGB"), np.int16)


def storm(
    process: HostProcess, alone: HostProcess, prompts: int, cancels: int, every: int, seed: int = 0
) -> Report:
    """Queue prompts at once, cancel some, follow all to their ends, and compare every `every`th image with one made alone."""
    report, dice = Report(), random.Random(seed)
    blocked = process.output / BLOCKED
    blocked.parent.mkdir(exist_ok=True)
    blocked.write_bytes(b"")
    client = HostClient(process.url)
    for kind in KINDS:
        client.run(prompt_of(kind, 1))
    report.before = resident(process)
    jobs = [(dice.choice(MIX), 1000 + n) for n in range(prompts)]
    started = time.monotonic()
    watch = Watch(process.url, report, cancels, dice)
    watch.start()
    queued = [(kind, n, client.submit(prompt_of(kind, n), "storm")) for kind, n in jobs]
    finished = []
    for kind, n, result in queued:
        end = wait_for(client, result, time.monotonic() + ANSWER_SECONDS + 2 * prompts)
        report.ends[kind, end] += 1
        if end not in (KINDS[kind], "interrupted"):
            report.wrong.append(f"{kind} {n}: {end}")
        if end == "success":
            finished.append((kind, n, result))
    watch.ended.set()
    watch.join()
    report.seconds = time.monotonic() - started
    for kind, n, result in finished[::every]:
        single = HostClient(alone.url)
        again = single.run(prompt_of(kind, n))
        report.images += 1
        report.different += bool(np.abs(pixels(client, result) - pixels(single, again)).max() > 1)
    report.after = resident(process)
    return report


def lines(report: Report) -> list[str]:
    """The report in words."""
    ends = [f"{kind:22} {end:12} {count:5}" for (kind, end), count in sorted(report.ends.items())]
    return [
        *ends,
        f"{len(report.wrong)} prompts ended otherwise than they should: {report.wrong[:5]}",
        f"{report.images} finished images compared with the same prompt alone, {report.different} different",
        f"{report.answers} questions answered while working, {report.silent} not; the slowest in {report.slowest:.1f} s",
        f"memory {report.before / 2**20:.0f} MB before, {report.after / 2**20:.0f} MB after ({report.growth:+.1%})",
        f"{report.seconds:.0f} s",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Load and faults against a real ComfyUI.")
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--cancels", type=int, default=40)
    parser.add_argument("--every", type=int, default=3, help="which finished images to compare")
    parser.add_argument("--host", choices=sorted(BY_VERSION), default=max(BY_VERSION, key=len))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        running = []
        try:
            for folder in ("storm", "alone"):
                nodes = Path(name, folder, "custom_nodes", NODES_FOR_TESTS.name)
                shutil.copytree(NODES_FOR_TESTS, nodes)
                running.append(start_host(BY_VERSION[options.host], Path(name, folder)))
            report = storm(*running, options.prompts, options.cancels, options.every)
        finally:
            for process in running:
                process.stop()
    print("\n".join(lines(report)))
    if report.wrong or report.different or report.silent or report.growth > 0.05:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
