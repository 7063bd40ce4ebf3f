#!/usr/bin/env python3
"""The fast tests with this Python and any PyTorch, in the environment they are started in: for the rows of a CI matrix.

    python -m tools.dev.matrix 2.10.0       # or: newest, installed

Installs PyTorch (its CPU build where there is one) and the tests' own requirements, unpinned, with the running Python, then
runs what needs neither ComfyUI nor a browser nor the metrics of tools/evaluate. `installed` installs nothing.
"""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CPU_WHEELS = "https://download.pytorch.org/whl/cpu"
NEEDED = (
    "numpy",
    "pillow",
    "safetensors",
    "scipy",
    "tokenizers",
    "pytest",
    "pytest-timeout",
    "hypothesis",
    "transformers",
    "pyyaml",
)


def commands(torch: str) -> list[list[str]]:
    """What to run, one after the other."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    wanted = "torch" if torch == "newest" else f"torch=={torch}"
    installs = [[*pip, wanted, "--extra-index-url", CPU_WHEELS], [*pip, *NEEDED]]
    tests = [sys.executable, "-m", "pytest", "-m", "not host"]
    tests += [f"--ignore=tests/{folder}" for folder in ("browser", "evaluate", "hosts")]
    return ([] if torch == "installed" else installs) + [tests]


def main() -> int:
    """The first exit status that is not 0."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("torch", nargs="?", default="newest")
    for command in commands(parser.parse_args().torch):
        status = subprocess.run(command, cwd=ROOT).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
