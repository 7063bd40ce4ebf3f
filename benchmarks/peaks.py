"""How much memory this process holds and has held."""

import os
import resource
from pathlib import Path

# For processes whose peak is measured: large tensors are mappings of their own, given back when they are freed. What the
# allocator would keep of them is left out, which varies from run to run.
EXACT = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "1000000"}


def peak_bytes() -> int:
    """Most memory this process has held. Not getrusage on Linux: that starts from the parent process's peak."""
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def held_bytes() -> int:
    """Memory this process holds now; where that cannot be told, the most it has held."""
    return _status("VmRSS") or peak_bytes()


def _status(name: str) -> int | None:
    """One of Linux's numbers of this process, in bytes."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    (line,) = [row for row in status.read_text().splitlines() if row.startswith(name)]
    return int(line.split()[1]) * 1024
