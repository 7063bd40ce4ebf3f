"""What hostile files cost: every file of the corpus, read in this process and offered to a real ComfyUI.

    python -m tools.hostile                    # the whole corpus in process, then through the newest host
    python -m tools.hostile --host 0.3.75

For each file: seconds until its refusal, and the memory that its reading took at its peak (Linux: the kernel's high-water mark,
set back before each file). Afterwards the server makes an image, which must be that of a server which saw no such file.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ar_guidance.imaging.token_file import read_tokens
from ar_guidance.loaders.detect import find_part
from ar_guidance.loaders.read import read_weights
from ar_guidance.loaders.text.files import find_encoder
from ar_guidance.tests.hostile.build import MARKER
from ar_guidance.tests.hostile.corpus import TOKENS, TRANSFORMERS
from ar_guidance.tests.hosts.graphs import generate, node

from .dev.host_client import HostClient
from .dev.host_process import HostProcess, start_host
from .dev.hosts import BY_VERSION

SECONDS, MEGABYTES = 2.0, 200  # what is promised


@dataclass(frozen=True)
class Cost:
    """Of one file at one place: how it ended, and what it took."""

    name: str
    said: str
    seconds: float
    megabytes: float


def peak_of(pid: int | str, work: Callable[[], str], name: str) -> Cost:
    """Do something, and see how far a process's memory rose above what it was."""
    folder = Path(f"/proc/{pid}")
    (folder / "clear_refs").write_text("5")  # the high-water mark becomes what is resident now
    before, started = _status(folder, "VmRSS"), time.monotonic()
    said = work()
    seconds = time.monotonic() - started
    return Cost(name, said, seconds, (_status(folder, "VmHWM") - before) / 1024)


def _status(folder: Path, name: str) -> int:
    """A line of /proc/PID/status, in kilobytes."""
    text = (folder / "status").read_text(encoding="ascii")
    return int(next(line for line in text.splitlines() if line.startswith(name)).split()[1])


def in_process() -> Iterable[Cost]:
    """Every file as a transformer, an image tokenizer, a text encoder and tokens."""
    readers: dict[str, Callable[[Path], object]] = {
        "transformer": lambda path: find_part(read_weights(path), "transformer"),
        "tokenizer": lambda path: find_part(read_weights(path), "tokenizer"),
        "text encoder": lambda path: find_encoder([path]),
        "tokens": read_tokens,
    }
    for name, build in (TRANSFORMERS | TOKENS).items():
        for place, read in readers.items():
            with tempfile.TemporaryDirectory() as folder:
                path = build(Path(folder))
                yield peak_of(
                    "self", lambda read=read, path=path: _refusal(read, path), f"{name}, as {place}"
                )


def _refusal(read: Callable[[Path], object], path: Path) -> str:
    try:
        read(path)
    except ValueError as error:
        return str(error)
    except Exception as error:
        return f"RAW {type(error).__name__}: {error}"
    return "RAW: was taken"


def through(process: HostProcess, names: Iterable[str] | None = None) -> Iterable[Cost]:
    """Files of the corpus in a host's model folder, each chosen in AR Load Checkpoint."""
    client = HostClient(process.url)
    for name in TRANSFORMERS if names is None else names:
        folder = process.models / "ar_checkpoints" / "offered"
        folder.mkdir(parents=True)
        path = TRANSFORMERS[name](folder)
        graph = generate(checkpoint=f"offered/{path.name}")

        def offered(graph: dict = graph) -> str:
            result = client.run(graph)
            kind = str(result.details.get("exception_type", ""))
            ours = result.status == "refused" or kind.endswith(("CheckpointError", "ValueError"))
            return result.error if ours else f"RAW: {result.status} {result.error}"

        cost = peak_of(process.process.pid, offered, name)
        yield cost
        _remove(folder)


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    folder.rmdir()


def image_of(process: HostProcess) -> bytes:
    """The bundled model's image of a fixed seed."""
    graph = generate(classes="5", seed=11)
    graph["save"] = node("PreviewImage", images=["decode", 0])
    result = HostClient(process.url).run(graph)
    return HostClient(process.url).image(result.images[0])


def summary(costs: list[Cost]) -> list[str]:
    """Counts and the costliest files."""
    raw = [cost.name for cost in costs if cost.said.startswith("RAW")]
    slow = max(costs, key=lambda cost: cost.seconds)
    large = max(costs, key=lambda cost: cost.megabytes)
    over = [c.name for c in costs if c.seconds > SECONDS or c.megabytes > MEGABYTES]
    return [
        f"{len(costs)} readings, {len(raw)} not refused in words: {raw[:5]}",
        f"slowest {slow.seconds:.2f} s ({slow.name}); most memory {large.megabytes:.0f} MB ({large.name})",
        f"{len(over)} over {SECONDS:g} s or {MEGABYTES} MB: {over[:5]}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="What hostile files cost.")
    parser.add_argument("--host", choices=sorted(BY_VERSION), default=max(BY_VERSION, key=len))
    host = BY_VERSION[parser.parse_args().host]
    print("in process", *summary(list(in_process())), sep="\n")
    with tempfile.TemporaryDirectory() as name:
        process = start_host(host, Path(name))
        try:
            before = image_of(process)
            costs = list(through(process))
            after = image_of(process)
        finally:
            process.stop()
    print(f"through ComfyUI {host.version}", *summary(costs), sep="\n")
    run = (host.folder / MARKER).exists()
    print(
        f"the image afterwards is {'the same' if before == after else 'ANOTHER'}; {'SOMETHING' if run else 'nothing'} was run"
    )
    raise SystemExit(before != after or run or any(c.said.startswith("RAW") for c in costs))


if __name__ == "__main__":
    main()
