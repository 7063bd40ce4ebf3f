"""Messages to the developer and running of other programs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Problem(Exception):
    """Something the developer can act on; shown as one line (plus details), without a traceback."""


def say(message: str) -> None:
    """Print one progress line at once, also when the output is not a terminal."""
    print(message, flush=True)


def run_quietly(command: Sequence[str | Path], what: str) -> None:
    """Run a command; show its output only if it fails, as the details of a `Problem`."""
    result = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        encoding="utf-8",
        errors="replace",
    )
    if result.returncode != 0:
        raise Problem(f"{what} failed:\n{tail(result.stdout)}")


def tail(text: str, lines: int = 25) -> str:
    """The last lines of a log, indented to set them off from our own messages."""
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines()[-lines:])


def report(problem: Problem) -> int:
    """Print a problem to standard error; the exit status to end with."""
    print(f"dev.py: {problem}", file=sys.stderr, flush=True)
    return 1
