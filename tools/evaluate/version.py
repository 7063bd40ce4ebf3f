"""Which pack computes: samples are the same only where the code that makes them is."""

import hashlib
from functools import lru_cache

import torch

from ..pack import ROOT

FOLDERS = (
    *("analysis", "conditioning", "guidance", "imaging", "loaders", "models", "sampling"),
    *("tools/bundled", "tools/evaluate"),
)


@lru_cache
def version() -> str:
    """A hash of every source file a sample or a number depends on, and torch's version."""
    digest = hashlib.sha256()
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.relative_to(ROOT).as_posix().encode())
            digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return f"{digest.hexdigest()[:16]}, torch {torch.__version__}"
