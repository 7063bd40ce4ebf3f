"""Faults that are real: a disk that is full, a folder that may only be read, a server without memory. Linux, as root.

    python -m tools.faults                     # against the newest host; --host 0.3.75 for the other

Nothing is injected: the output folder is a file system of a few kilobytes, then one mounted read-only, and the server's own limit of
memory (RLIMIT_AS) is lowered while it runs. Checked after each: the error says what was wrong, nothing half-written lies there,
and the same prompt makes its image as soon as the fault is gone.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ar_guidance.tests.hosts.graphs import generate, node

from .dev.host_client import HostClient, Result
from .dev.host_process import HostProcess, start_host
from .dev.hosts import BY_VERSION

Prompt = dict[str, Any]
SMALL = "small"  # a folder of the output folder: the file system that is full or read-only
KILOBYTES = 16
ROOM = 24 << 20  # bytes of address space the server is left with
MANY = 64  # images of a batch that do not fit into it, and whose tokens do not fit on the disk


@dataclass(frozen=True)
class Fault:
    """What was tried, how it ended, what was wrong with that ("" = nothing)."""

    name: str
    said: str
    wrong: str = ""


def possible() -> bool:
    """Whether file systems can be mounted here."""
    return sys.platform == "linux" and os.geteuid() == 0 and _mounts()


def _mounts() -> bool:
    with tempfile.TemporaryDirectory() as name:
        try:
            with small_disk(Path(name) / SMALL):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


@contextmanager
def small_disk(folder: Path) -> Iterator[Callable[[str], None]]:
    """A file system of `KILOBYTES` at `folder`; what it yields mounts it again with other options."""
    folder.mkdir(parents=True, exist_ok=True)

    def mount(options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        subprocess.run(command, check=True, capture_output=True)

    mount(f"size={KILOBYTES}k")
    try:
        yield lambda options: mount(f"remount,{options}")
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def little_memory(pid: int) -> Iterator[None]:
    """A process left with `ROOM` more bytes of address space than it has now."""
    before = resource.prlimit(pid, resource.RLIMIT_AS)
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + ROOM
    resource.prlimit(pid, resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_AS, before)


def images(seed: int, batch: int) -> Prompt:
    """A batch saved as PNG files into the small folder."""
    graph = generate(batch_size=batch, classes="3", seed=seed)
    graph["save"]["inputs"]["filename_prefix"] = f"{SMALL}/image"
    return graph


def tokens(seed: int) -> Prompt:
    """The tokens of many images in the small folder, more than fit."""
    graph = generate(batch_size=MANY, classes="3", seed=seed)
    graph["save"] = node("ARSaveTokens", ar_tokens=["decode", 2], filename_prefix=f"{SMALL}/tokens")
    return graph


def ended(client: HostClient, prompt: Prompt, words: str, name: str) -> Fault:
    """A prompt that must end in an error with these words."""
    result = client.run(prompt)
    said = result.error or result.status
    return Fault(name, said, "" if words.lower() in said.lower() else f"expected: {words}")


def healed(client: HostClient, prompt: Prompt, name: str) -> Fault:
    """The same prompt without the fault: its images are saved."""
    result: Result = client.run(prompt)
    right = result.status == "success" and (result.images or "save" in result.executed)
    return Fault(name, result.status, "" if right else result.error or "no image")


def disk_faults(process: HostProcess) -> Iterator[Fault]:
    """A full disk and a read-only one, for images and for tokens."""
    client, folder = HostClient(process.url), process.output / SMALL
    with small_disk(folder) as again:
        yield ended(client, images(1, 8), "no space left", "images, disk full")
        yield ended(client, tokens(2), "no space left", "tokens, disk full")
        left = [path.name for path in folder.iterdir() if not path.name.startswith("image_")]
        yield Fault("left on the full disk", str(left), "half-written files" if left else "")
        for path in folder.iterdir():
            path.unlink()
        yield healed(client, images(1, 1), "images, room again")
        again("ro")
        yield ended(client, images(3, 1), "read-only", "images, read-only")
        yield ended(client, tokens(3), "read-only", "tokens, read-only")
        again(f"rw,size={1 << 20}k")
        yield healed(client, images(3, 1), "images, writable again")
        yield healed(client, tokens(3), "tokens, writable again")


def memory_faults(process: HostProcess) -> Iterator[Fault]:
    """A batch that does not fit into memory: smaller passes or an error in words, and the server goes on."""
    client, prompt = HostClient(process.url), generate(batch_size=MANY, classes="3", seed=4)
    with little_memory(process.process.pid):
        result = client.run(prompt)
        said = result.error or f"{result.status}, {len(result.images)} images"
        right = len(result.images) == MANY or "memory" in said.lower()
        yield Fault(f"{MANY} images in {ROOM >> 20} MB", said, "" if right else "neither")
        client.system_stats()
    yield healed(client, prompt, "the same with memory")


def main() -> None:
    parser = argparse.ArgumentParser(description="Real faults against a real ComfyUI.")
    parser.add_argument("--host", choices=sorted(BY_VERSION), default=max(BY_VERSION, key=len))
    options = parser.parse_args()
    if not possible():
        raise SystemExit("file systems cannot be mounted here: run this on Linux, as root")
    with tempfile.TemporaryDirectory() as name:
        process = start_host(BY_VERSION[options.host], Path(name))
        try:
            faults = [*disk_faults(process), *memory_faults(process)]
        finally:
            process.stop()
    for fault in faults:
        print(f"{fault.name:28} {fault.said.splitlines()[0][:150]}   {fault.wrong}")
    raise SystemExit(any(fault.wrong for fault in faults))


if __name__ == "__main__":
    main()
