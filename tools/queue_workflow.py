#!/usr/bin/env python3
"""Queue a workflow many times on several ComfyUI servers, and collect the images. Needs nothing but Python.

    python tools/queue_workflow.py workflow.json --server http://127.0.0.1:8188 --server http://studio:8188 \\
        --seeds 20 --set 4.scale=2,3,4 --output images

`workflow.json` is a workflow in API format (in ComfyUI: Workflow > Export (API)). Every combination of seeds and values is a job; a
server takes the next one when it is done with its last. A server that does not answer any more is left out, and its job is given to
another. Run the same command again to go on: jobs whose images are there are not made again.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import queue
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

POLL = 0.5  # seconds between two questions whether a job is done
ANSWER = 30  # seconds a server may take to answer


class Refused(Exception):
    """The server says that it will not or cannot run this job."""


@dataclass(frozen=True)
class Job:
    """One run of the workflow: (node, input) -> value."""

    number: int
    values: tuple[tuple[tuple[str, str], Any], ...]

    @property
    def name(self) -> str:
        """How its images begin."""
        parts = [f"{name}={value}" for (_, name), value in self.values]
        text = "_".join([f"{self.number:04d}", *parts])
        return "".join(c if c.isalnum() or c in "._=-" else "-" for c in text)[:120]

    def prompt(self, workflow: dict[str, Any]) -> dict[str, Any]:
        """The workflow with these values."""
        made = copy.deepcopy(workflow)
        for (node, name), value in self.values:
            made[node]["inputs"][name] = value
        return made


def read_workflow(path: Path) -> dict[str, Any]:
    """A workflow in API format; exits in words where it is something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SystemExit(f"{path}: not a workflow: {error}") from error
    nodes = content.values() if isinstance(content, dict) else []
    if not nodes or not all(isinstance(node, dict) and "class_type" in node for node in nodes):
        raise SystemExit(
            f"{path}: this is not a workflow in API format. In ComfyUI: Workflow > Export (API)"
        )
    return content


def jobs_of(workflow: dict[str, Any], seeds: Sequence[int], settings: Sequence[str]) -> list[Job]:
    """Every combination; seeds go into every input called `seed` or `noise_seed` that holds a number."""
    axes: list[list[tuple[tuple[tuple[str, str], Any], ...]]] = []
    places = [
        (node, name)
        for node, entry in workflow.items()
        for name in ("seed", "noise_seed")
        if isinstance(entry.get("inputs", {}).get(name), int)
    ]
    if seeds and not places:
        raise SystemExit("no node of this workflow has a seed that can be set: leave --seeds out")
    if seeds:
        axes.append([tuple((place, seed) for place in places) for seed in seeds])
    axes += [_axis(workflow, setting) for setting in settings]
    combined = itertools.product(*axes)
    return [Job(number, tuple(itertools.chain(*values))) for number, values in enumerate(combined)]


def _axis(workflow: dict[str, Any], setting: str) -> list[tuple[tuple[tuple[str, str], Any], ...]]:
    """'4.scale=2,3' -> a choice per value."""
    place, _, values = setting.partition("=")
    node, _, name = place.partition(".")
    if name not in workflow.get(node, {}).get("inputs", {}):
        raise SystemExit(f"--set {setting}: node {node or '?'} has no input '{name}'")
    return [(((node, name), _value(value)),) for value in values.split(",")]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


@dataclass
class Server:
    """One ComfyUI, through the HTTP interface every ComfyUI has."""

    url: str
    workflow: dict[str, Any]
    folder: Path

    def run(self, job: Job) -> list[Path]:
        """Queue a job, wait for it, fetch its images.

        Raises:
            Refused: the workflow cannot be run there.
            OSError: the server does not answer.
        """
        record = self._finished(self._queue(job))
        if record.get("status", {}).get("status_str") == "error":
            raise Refused(_reason(record))
        outputs = sorted(
            record.get("outputs", {}).items(), key=lambda item: (len(item[0]), item[0])
        )
        images = [image for _, output in outputs for image in output.get("images", [])]
        saved = [image for image in images if image.get("type") == "output"] or images
        return [self._fetch(job, place, image) for place, image in enumerate(saved)]

    def _queue(self, job: Job) -> str:
        body = json.dumps({"prompt": job.prompt(self.workflow)}).encode()
        request = urllib.request.Request(
            f"{self.url}/prompt", body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=ANSWER) as reply:
                return json.load(reply)["prompt_id"]
        except urllib.error.HTTPError as error:
            raise Refused(error.read().decode(errors="replace")[:500]) from error

    def _finished(self, prompt_id: str) -> dict[str, Any]:
        """What the server notes about a job, once it is done."""
        while True:
            record = json.loads(self._get(f"/history/{prompt_id}")).get(prompt_id)
            if record is not None:
                return record
            waiting = json.loads(self._get("/queue"))
            entries = [*waiting["queue_running"], *waiting["queue_pending"]]
            if all(entry[1] != prompt_id for entry in entries):
                record = json.loads(self._get(f"/history/{prompt_id}")).get(prompt_id)
                if record is None:
                    raise OSError("the job is no longer in the server's queue")
                return record
            time.sleep(POLL)

    def _fetch(self, job: Job, place: int, image: dict[str, str]) -> Path:
        names = {key: image.get(key, "") for key in ("filename", "subfolder", "type")}
        content = self._get(f"/view?{urllib.parse.urlencode(names)}")
        path = self.folder / f"{job.name}_{place}{Path(image['filename']).suffix}"
        part = path.with_name(f"{path.name}.part")
        part.write_bytes(content)
        part.replace(path)
        return path

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=ANSWER) as reply:
            return reply.read()


def _reason(record: dict[str, Any]) -> str:
    for kind, data in record.get("status", {}).get("messages", []):
        if kind == "execution_error":
            return f"{data.get('node_type')}: {data.get('exception_message', '').strip()}"
    return "the server reports an error"


@dataclass
class Work:
    """Jobs that wait, and what became of the others."""

    waiting: queue.SimpleQueue[Job] = field(default_factory=queue.SimpleQueue)
    left: int = 0
    refused: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def finish(self) -> None:
        """Count a job that is over."""
        with self.lock:
            self.left -= 1


def serve(server: Server, work: Work) -> None:
    """Give one server jobs until there are none, or until it is gone."""
    while work.left:
        try:
            job = work.waiting.get(timeout=POLL)
        except queue.Empty:
            continue  # a job of a server that goes away may still come
        try:
            images = server.run(job)
            print(f"{server.url}: {job.name}, {len(images)} images", flush=True)
        except Refused as error:
            work.refused.append(f"{job.name} on {server.url}: {error}")
        except OSError as error:
            work.waiting.put(job)
            print(f"{server.url} is left out: {error}", file=sys.stderr, flush=True)
            return
        work.finish()


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workflow", type=Path)
    parser.add_argument("--server", action="append", required=True, metavar="URL")
    parser.add_argument("--seeds", type=int, default=0, help="how many, from --first-seed on")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="NODE.INPUT=A,B")
    parser.add_argument("--output", type=Path, default=Path("images"))
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Run all jobs; 0 if all have their images."""
    options = arguments(given)
    workflow = read_workflow(options.workflow)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    options.output.mkdir(parents=True, exist_ok=True)
    work = Work()
    for job in jobs_of(workflow, seeds, options.set):
        if not any(options.output.glob(f"{job.name}_*[!t]")):
            work.waiting.put(job)
            work.left += 1
    servers = [Server(url.rstrip("/"), workflow, options.output) for url in options.server]
    threads = [threading.Thread(target=serve, args=(one, work), daemon=True) for one in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for problem in work.refused:
        print(f"error: {problem}", file=sys.stderr)
    if work.left:
        print(f"error: no server is left, and {work.left} jobs are not done", file=sys.stderr)
    return 1 if work.left or work.refused else 0


if __name__ == "__main__":
    sys.exit(main())
