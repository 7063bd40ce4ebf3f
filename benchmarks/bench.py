#!/usr/bin/env python3
"""All benchmarks of speed and memory at a small setting, one table: `python3 dev.py bench [--gpu]`.

    python -m benchmarks.bench [--gpu] [--only scalewise ...] [--official-var CHECKOUT] [--official-llamagen CHECKOUT]
                               [--before CHECKOUT_OF_AN_EARLIER_BUILD] [--output FOLDER]

Each benchmark runs in a process of its own, one after the other, and leaves its table as JSON in the folder. With `--gpu` the
list is that of GPU measurements, on the first GPU; without one that is refused.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ar_guidance.tools.pack import ROOT

from .harness import report

Row = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """One benchmark at a small setting.

    Attributes:
        module: of this package, with a `--json FILE` option.
        arguments: of its command line.
        checkouts: option -> the kind of checkout it takes, if there is one.
    """

    name: str
    module: str
    arguments: Sequence[str]
    checkouts: Mapping[str, str]


PROCESSOR = (
    Entry("scalewise", "scalewise", ("--turns", "5", "--bundled"), {"--official": "official_var"}),
    Entry("tokenwise", "tokenwise", ("--tokens", "24"), {"--official": "official_llamagen"}),
    Entry("parallel", "parallel", ("--seeds", "4"), {"--before": "before"}),
    Entry("memory", "memory", ("--family", "var", "llamagen", "--batch", "1"), {}),
    Entry("load", "load", ("--megabytes", "200"), {}),
)
ON_GPU = ("--device", "cuda")
GPU = (
    Entry("VAR-d16", "generation", ("--model", "d16", *ON_GPU, "--dtype", "float16"), {}),
    Entry(
        "tokenwise",
        "tokenwise",
        (*ON_GPU, "--dtype", "bfloat16"),
        {"--official": "official_llamagen"},
    ),
    Entry("memory", "memory", ("--dtype", "bfloat16", "--batch", "1"), {}),
)


def command(entry: Entry, options: argparse.Namespace, file: Path) -> list[str]:
    """The command line of one benchmark."""
    given = [sys.executable, "-m", f"benchmarks.{entry.module}", *entry.arguments]
    for option, kind in entry.checkouts.items():
        if getattr(options, kind):
            given += [option, str(getattr(options, kind))]
    return [*given, "--json", str(file)]


def run(entry: Entry, options: argparse.Namespace) -> list[Row]:
    """Run one; a row of the table for every number it found."""
    file = options.output / f"{entry.name}.json"
    file.unlink(missing_ok=True)
    started = time.perf_counter()
    done = subprocess.run(command(entry, options, file), cwd=ROOT, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if done.returncode or not file.is_file():
        words = (done.stderr.strip() or "no result").splitlines()[-1]
        return [{"benchmark": entry.name, "what": "FAILED", "number": "", "value": words}]
    rows = json.loads(file.read_text())["rows"]
    found = [row for given in rows for row in numbers(entry.name, given)]
    return [*found, {"benchmark": entry.name, "what": "all of it", "number": "s", "value": seconds}]


def numbers(name: str, row: Row) -> list[Row]:
    """One row of a benchmark's own table, a number a line."""
    words = [str(value) for value in row.values() if isinstance(value, str)]
    words += [f"{key} {value}" for key, value in row.items() if isinstance(value, int)]
    found = {key: value for key, value in row.items() if isinstance(value, float)}
    return [
        {"benchmark": name, "what": ", ".join(words), "number": key, "value": value}
        for key, value in found.items()
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--only", nargs="+", help="names of the benchmarks to run")
    parser.add_argument("--official-var", type=Path)
    parser.add_argument("--official-llamagen", type=Path)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--output", type=Path, default=ROOT / "bench")
    options = parser.parse_args()
    if options.gpu and not torch.cuda.is_available():
        print("there is no GPU that this PyTorch can use: run without --gpu", file=sys.stderr)
        return 1
    entries = [
        e for e in (GPU if options.gpu else PROCESSOR) if e.name in (options.only or [e.name])
    ]
    if not entries:
        names = ", ".join(entry.name for entry in (GPU if options.gpu else PROCESSOR))
        parser.error(f"no benchmark of that name; there are {names}")
    options.output.mkdir(parents=True, exist_ok=True)
    rows = []
    for entry in entries:
        print(f"{entry.name} ...", file=sys.stderr, flush=True)
        rows += run(entry, options)
    report("all benchmarks", rows, options.output / "all.json")
    return int(any(row["what"] == "FAILED" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
