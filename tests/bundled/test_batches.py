"""What holds for images made together, whatever the processor: those made alone, but for rounding; and the same again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ar_guidance.benchmarks.batches import Rounding, compare

ROOT = Path(__file__).resolve().parents[2]
IMAGES = 9
ROUNDING = 2e-3  # of logits up to 30: some hundred times what is seen, a hundredth of what another token makes
MOST = 2  # fewer than the images of a kind; about one in a hundred changes; with another image's random numbers all do


def kernels(aten: str, mkl: str, onednn: str) -> dict[str, str]:
    """The environment that makes PyTorch and its libraries use an older processor's kernels."""
    return {"ATEN_CPU_CAPABILITY": aten, "MKL_CBWR": mkl, "ONEDNN_MAX_CPU_ISA": onednn}


ONE = {"OMP_NUM_THREADS": "1"}
KERNELS = {
    "oldest": {**ONE, **kernels("default", "COMPATIBLE", "SSE41")},
    "AVX2": {**ONE, **kernels("avx2", "AVX2", "AVX2")},
}
NEWER = {"AVX2": ("AVX512",)}  # processors whose own are others


@pytest.mark.parametrize("name", KERNELS)
def test_an_image_of_a_batch_is_that_alone_but_for_rounding(name: str) -> None:
    if name in NEWER and torch.backends.cpu.get_cpu_capability() not in NEWER[name]:
        pytest.skip(f"this processor's own are {name}, or it has none")
    command = [sys.executable, "-m", "benchmarks.batches", "--json", "--images", str(IMAGES)]
    environment = {**os.environ, **KERNELS[name]}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    for found in json.loads(done.stdout):
        nearly_alike(Rounding(**found))


@pytest.mark.parametrize("kind, images", [("scale", IMAGES), ("token", IMAGES // 3)])
def test_so_it_is_with_two_threads_and_the_kernels_of_this_processor(
    kind: str, images: int
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        nearly_alike(compare(kind, images, batch=6))
    finally:
        torch.set_num_threads(before)


def nearly_alike(found: Rounding) -> None:
    """The same again in a batch, and but for rounding what is made alone."""
    assert found.images >= IMAGES // 3 and found.repeated, found
    assert found.changed <= MOST and found.apart < ROUNDING, found


def test_the_log_of_a_run_says_its_kernels() -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        str(ROOT / "tests/test_archive.py"),
    ]
    environment = {**os.environ, **KERNELS["oldest"]}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("torch ")]
    assert len(lines) == 1 and lines[0].endswith("1 thread(s)"), done.stdout[:500]
    assert "kernels DEFAULT (ATEN_CPU_CAPABILITY=default" in lines[0]
