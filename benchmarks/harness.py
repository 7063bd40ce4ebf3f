"""What the benchmarks share: runs timed in turns, medians, JSON beside a table, other builds and checkouts to compare with."""

import importlib.util
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from ar_guidance.tools.pack import ROOT

TURNS = 5  # of every run, after one to warm up
BEFORE = "ar_guidance_before"


def timed(
    function: Callable[[], Any],
    device: torch.device | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Seconds of one call, whatever it left running on the device included."""
    started = clock()
    function()
    if device is not None and device.type != "cpu":
        torch.accelerator.synchronize()
    return clock() - started


def busy_clock(busy: bool) -> Callable[[], float]:
    """The clock; on a machine that is busy with other things, the time this process worked, with one thread."""
    if not busy:
        return time.perf_counter
    torch.set_num_threads(1)
    return time.process_time


def in_turns(
    runs: Mapping[str, Callable[[], Any]],
    turns: int = TURNS,
    device: torch.device | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median seconds of every run: all once to warm up, then all in turns, so that a slow minute hits them alike.

    With no turns, which is for runs of minutes, the first of each counts.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(turns + 1):
        for name, run in runs.items():
            taken = timed(run, device, clock)
            if turn or not turns:
                seconds[name].append(taken)
    return {name: statistics.median(values) for name, values in seconds.items()}


def other_build(folder: Path) -> str:
    """Another checkout of this pack, as the package `BEFORE`; its name."""
    if BEFORE not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            BEFORE, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[BEFORE] = module
        spec.loader.exec_module(module)
    return BEFORE


def of_build(package: str, module: str) -> ModuleType:
    """A module of a build of this pack."""
    return importlib.import_module(f"{package}.{module}")


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def _processor() -> str:
    """Its name and the widest vector instructions PyTorch found."""
    info = Path("/proc/cpuinfo")
    names = (
        [line for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.is_file()
        else []
    )
    name = names[0].split(":")[1].strip() if names else platform.processor()
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def report(title: str, rows: Sequence[Mapping[str, Any]], file: Path | None = None) -> None:
    """Print rows as a table, after what the machine is, and write both as JSON."""
    about = machine()
    print(f"{title}: " + ", ".join(f"{name} {value}" for name, value in about.items()))
    names = list(dict.fromkeys(name for row in rows for name in row))
    print(f"| {' | '.join(names)} |\n|{'---|' * len(names)}")
    for row in rows:
        print(f"| {' | '.join(_shown(row.get(name, '')) for name in names)} |", flush=True)
    if file is not None:
        file.write_text(
            json.dumps({"title": title, "machine": about, "rows": list(rows)}, indent=1)
        )


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def bundled(name: str, part: str, package: str = "ar_guidance") -> Any:
    """A network that ships with the pack, fp32, of a build."""
    read, detect = (of_build(package, f"loaders.{module}") for module in ("read", "detect"))
    found = detect.find_part(read.read_weights(ROOT / "bundled" / f"{name}.safetensors"), part)
    network = found.family.build(found.config)
    network.load_state_dict(found.tensors, strict=False)
    return network.eval()
