#!/usr/bin/env python3
"""Everything a developer needs, with nothing but Python:

python3 dev.py demo      install, start ComfyUI, run the first example workflow, leave its images in demo/
python3 dev.py test      formatter, linter, types, and all tests against two versions of ComfyUI and a browser
python3 dev.py bench     every benchmark at a small setting, one table (--gpu: on a GPU; further options: benchmarks/bench.py)
python3 dev.py docs      help pages, words, images and thumbnails, made again from the nodes
python3 dev.py boot      start ComfyUI with this pack and keep it running, to look at in a browser

The first run installs into .venv and .hosts inside this folder; delete both to start afresh.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from tools.dev.checks import run_tests
from tools.dev.console import ROOT, Problem, report, say
from tools.dev.documents import make_documents
from tools.dev.environment import prepare_environment
from tools.dev.host_process import start_host
from tools.dev.hosts import BY_VERSION, HOSTS, NEWEST, prepare_host


def demo() -> int:
    """Run the first example workflow."""
    started = time.monotonic()
    python = prepare_environment()
    prepare_host(NEWEST)
    status = subprocess.run([str(python), "-m", "tools.dev.demo"], cwd=ROOT).returncode
    if status == 0:
        say(f"done in {time.monotonic() - started:.0f} s")
    return status


def bench(arguments: list[str]) -> int:
    """Run the benchmarks; they measure loading in a ComfyUI."""
    python = prepare_environment()
    prepare_host(NEWEST)
    return subprocess.run([str(python), "-m", "benchmarks.bench", *arguments], cwd=ROOT).returncode


def boot(version: str, port: int, extra: list[str]) -> int:
    """Keep a host running until Ctrl-C."""
    prepare_environment()
    prepare_host(BY_VERSION[version])
    say(f"starting ComfyUI {version}")
    running = start_host(BY_VERSION[version], HOSTS / "run" / f"boot-{version}", port, extra)
    say(f"open {running.url}   (models: {running.models}; log: {running.log}; stop with Ctrl-C)")
    try:
        return running.process.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        running.stop()


def parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """The command line: our options, and what is passed on to pytest or ComfyUI."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("demo", help="run the first example workflow")
    test = commands.add_parser("test", help="run all checks; further arguments go to pytest")
    test.add_argument(
        "--fast", action="store_true", help="leave out the tests that need ComfyUI or a browser"
    )
    commands.add_parser(
        "bench", help="run the benchmarks; further arguments go to benchmarks/bench.py"
    )
    commands.add_parser("docs", help="make again what is made from the nodes")
    keep = commands.add_parser("boot", help="keep ComfyUI running; further arguments go to ComfyUI")
    keep.add_argument("--host", choices=sorted(BY_VERSION), default=NEWEST.version)
    keep.add_argument("--port", type=int, default=8188)
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command in ("demo", "docs"):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return options, rest


def main() -> int:
    """Run one command; its exit status."""
    options, rest = parse(sys.argv[1:])
    try:
        if options.command == "demo":
            return demo()
        if options.command == "test":
            return run_tests(options.fast, rest)
        if options.command == "bench":
            return bench(rest)
        if options.command == "docs":
            return make_documents()
        return boot(options.host, options.port, rest)
    except Problem as problem:
        return report(problem)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
