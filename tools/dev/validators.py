#!/usr/bin/env python3
"""What the registry's validators say of the pack, each in an environment of its own outside the repository.

    python -m tools.dev.validators

Runs `comfy node validate` (comfy-cli) and `comfy-test lint --strict`, and weighs the archive. comfy-import-guard (needs
a clone of ComfyUI and the network) and the registry's own scan are not run here.
"""

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from .archive import LARGEST, files, packed
from .console import ROOT, say

TOOLS = ("comfy-cli==1.23.0", "comfy-test==0.4.15")
CHECKS = (("comfy", "node", "validate"), ("comfy-test", "lint", ".", "--strict"))


def programs(folder: Path) -> Path:
    """A new environment with the validators; where its programs lie."""
    venv.create(folder, with_pip=True)
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    subprocess.run([scripts / "python", "-m", "pip", "install", "--quiet", *TOOLS], check=True)
    # it would ask on its first run, and then report what is done
    subprocess.run([scripts / "comfy", "--skip-prompt", "tracking", "disable"], cwd=ROOT)
    return scripts


def main() -> int:
    """The number of checks that failed."""
    size = len(packed(files()))
    say(f"archive: {size / 1e6:.1f} MB, at most {LARGEST / 1e6:.0f}")
    failed = int(size > LARGEST)
    with tempfile.TemporaryDirectory() as folder:
        scripts = programs(Path(folder))
        for program, *arguments in CHECKS:
            say(f"== {' '.join((program, *arguments))}")
            failed += subprocess.run([scripts / program, *arguments], cwd=ROOT).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
