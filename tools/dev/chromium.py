"""Finding a Chromium for the browser tests, and installing Debian's where that is possible."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from .console import Problem, run_quietly, say

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
)
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)
PATIENCE = ("-o", "Acquire::Retries=5", "-o", "DPkg::Lock::Timeout=300")
ADVICE = (
    "no Chromium found for the browser tests; install one (Debian, Ubuntu: sudo apt install chromium) "
    "or name its program in the environment variable CHROMIUM"
)


def find_chromium() -> str | None:
    """The program to start, or None."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    found = (shutil.which(name) for name in NAMES)
    return next((path for path in found if path), None) or next(
        (p for p in PLACES if Path(p).is_file()), None
    )


def prepare_chromium() -> None:
    """Install Chromium with apt if there is none and we may; otherwise leave it to the tests to say so."""
    may_install = sys.platform == "linux" and os.geteuid() == 0 and shutil.which("apt-get")
    if find_chromium() or not may_install:
        return
    say("installing Chromium with apt-get")
    try:
        run_quietly(["apt-get", *PATIENCE, "update"], "apt-get update")
        run_quietly(
            ["apt-get", *PATIENCE, "install", "-y", "--no-install-recommends", "chromium"],
            "apt-get install chromium",
        )
    except Problem as problem:
        say(str(problem))
