#!/usr/bin/env python3
"""What AR Diffusion: IGG adds to a step of a diffusion model: seconds and memory, for one image of four channels.

    python -m benchmarks.diffusion [--sides 64 128] [--window 33] [--repeats 5] [--threads 1]

The guidance alone, on random predictions: no diffusion model runs. Every line has a process of its own; its time is
the median, its memory the rise of the peak over the predictions themselves.
"""

import argparse
import statistics
import subprocess
import sys
import time

import torch
from ar_guidance.guidance.diffusion import DiffusionMix
from ar_guidance.guidance.igg import FIXED, GLOBAL, IGG

from .peaks import held_bytes, peak_bytes

CHANNELS = 4


def predictions(side: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What a sampler made, and both predictions it made it of: (1, C, side, side)."""
    denoised, cond, uncond = torch.randn(3, 1, CHANNELS, side, side)
    return denoised, cond, uncond


def measure(side: int, window: int, repeats: int) -> str:
    """One line of the table; window 0 = global."""
    igg = IGG(window=FIXED, window_side=window) if window else IGG(window=GLOBAL)
    mix = DiffusionMix(igg=igg)
    mix.guide(*predictions(8), 1.0)  # whatever is loaded at first use
    given = predictions(side)
    start, seconds = held_bytes(), []
    for _ in range(repeats):
        began = time.perf_counter()
        mix.guide(*given, 1.0)
        seconds.append(time.perf_counter() - began)
    reach = f"{window} places" if window else GLOBAL
    memory = (peak_bytes() - start) / 1e6
    return f"| {side} x {side} | {reach} | {statistics.median(seconds):.2f} | {memory:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sides", nargs="+", type=int, default=[64, 128])
    parser.add_argument("--window", type=int, default=33)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--one", nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        torch.set_num_threads(options.threads)
        with torch.inference_mode():
            print(measure(*options.one, options.repeats))
        return
    print("| latent | window | s per step | MB beside the predictions |")
    print("|---|---|---|---|")
    for side in options.sides:
        for window in (0, options.window):
            same = ["--repeats", str(options.repeats), "--threads", str(options.threads)]
            command = [sys.executable, __file__, *same, "--one", str(side), str(window)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            print(done.stdout.strip(), flush=True)


if __name__ == "__main__":
    main()
