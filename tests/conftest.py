"""The pack under its fixed alias `ar_guidance`, as ComfyUI would load it: a package whose name is not its folder's."""

import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

# Two waiting OpenMP threads on a busy two-core machine slow each other down many times over. It is read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no clock")

ROOT = Path(__file__).resolve().parents[1]


FORCED = ("ATEN_CPU_CAPABILITY", "MKL_CBWR", "ONEDNN_MAX_CPU_ISA")  # other processors' kernels


def pytest_report_header() -> str:
    """Which kernels the run has, so that its log says on what its results depend."""
    import torch

    forced = [f"{name}={os.environ[name]}" for name in FORCED if name in os.environ]
    kernels = f"{torch.backends.cpu.get_cpu_capability()} ({', '.join(forced) or 'none forced'})"
    return f"torch {torch.__version__}, kernels {kernels}, {torch.get_num_threads()} thread(s)"


def _load_pack() -> None:
    import importlib.util

    spec = importlib.util.spec_from_file_location("ar_pack_loader", ROOT / "tools" / "pack.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.load_pack()


if "ar_guidance" not in sys.modules:
    _load_pack()
