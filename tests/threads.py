"""How many threads a process has before and after something. Linux only."""

import os
from collections.abc import Callable

import torch

TEAM = 4
ALONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # NumPy's and SciPy's start on import


def counted(act: Callable[[], object]) -> list[int]:
    """Threads of this process before and after `act`, and after an operation that PyTorch shares out among TEAM threads.

    For a process of its own with ALONE in its environment: a team that is there already takes no new threads.
    """
    torch.set_num_threads(TEAM)
    found = [threads()]
    act()
    found.append(threads())
    torch.zeros(1 << 20).add_(1)
    return [*found, threads()]


def threads() -> int:
    """Threads of this process, Python's and all others."""
    return len(os.listdir("/proc/self/task"))
