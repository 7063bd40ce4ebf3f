#!/usr/bin/env python3
"""What each guidance costs over plain CFG, as a share of a whole run, and the memory it takes beside the logits.

    python -m benchmarks.guidance [--model bundled d16 "bundled token-wise"] [--batch 1 3] [--repeats 5]
    python -m benchmarks.guidance --model                               memory of a 64 x 64 grid alone

One run of the network under CFG gives its time T and the logits of every step. Every chain is then timed on those
logits, interleaved, and its cost is (t_chain - t_CFG) / T: the network's own jitter cannot hide in the difference.
Memory is the rise of the peak while a chain handles the largest step, in a process of its own. Costs are printed and
no more, since machines differ; memory has a bar: on a grid of 64 x 64 tokens with 4096 in the vocabulary no method may
take more than 300 MB (three links together can), or the script exits with 1. SoftCFG acts on next-token models: benchmarks/tokenwise.py.
"""

import argparse
import math
import statistics
import subprocess
import sys
import time
from typing import Any

import torch
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.igg import IGG
from ar_guidance.guidance.mixed import Mixed
from ar_guidance.guidance.record import TraceRecorder
from ar_guidance.guidance.schedule import Schedule
from ar_guidance.guidance.ssg import SSG
from ar_guidance.sampling.draw import Filters, Streams, StreamSampler
from ar_guidance.sampling.scalewise import ScalewiseJob, generate
from ar_guidance.sampling.tokenwise import generate as generate_tokens
from ar_guidance.tools.pack import ROOT

from .generation import MODELS
from .harness import bundled
from .parallel import job as token_job
from .peaks import EXACT, held_bytes, peak_bytes

CPU = torch.device("cpu")
LARGE = (64, 64, 4096)  # grid and vocabulary
MOST = 300  # MB that none of these may take beside the logits of such a grid
# Constant schedules: the most expensive case, every link acts at every step.
CHAINS = {
    "CFG": (CFG(3.0, "constant"),),
    "IGG": (IGG(3.0, "constant"),),
    "IGG window": (IGG(3.0, "constant", window="auto"),),
    "IGG token weight, window": (IGG(3.0, "constant", attention="token weight", window="auto"),),
    "IGG centred": (IGG(3.0, "constant", centre=True),),
    "mixed": (Mixed(3.0, "constant"),),
    "mixed, window": (Mixed(3.0, "constant", window="auto"),),
    "SSG": (CFG(3.0, "constant"), SSG()),
    "CFG recorded": (CFG(3.0, "constant"),),
}

TOKEN_WISE = "bundled token-wise"
KINDS = (*MODELS, TOKEN_WISE)

Steps = list[tuple[torch.Tensor, torch.Tensor]]


def record_run(name: str, batch: int) -> tuple[float, RunInfo, Steps]:
    """Seconds of a run under CFG, and the branch logits of its steps."""
    network, codec = MODELS[name](torch.float32)
    grids = network.config.grids
    run = RunInfo("scale", grids, published=Schedule("linear ramp"))
    steps: Steps = []
    seconds = []
    for kept in (False, True):  # the first run warms up
        job = ScalewiseJob(
            conditions=(torch.zeros(batch, dtype=torch.long), network.null_condition(batch)),
            batch=batch,
            run=run,
            chain=Chain(CHAINS["CFG"]),
            draw=StreamSampler(Filters(top_k=900, top_p=0.95), Streams(0, batch)),
        )
        keep = (lambda p: steps.append((p.cond, p.uncond))) if kept else (lambda p: None)
        started = time.perf_counter()
        result = generate(network, codec, job, CPU, on_step=keep)
        codec.decode(result.features)
        seconds.append(time.perf_counter() - started)
    return seconds[-1], run, steps


def record_token_run(batch: int) -> tuple[float, RunInfo, Steps]:
    """The same of the bundled token-wise model, one token a pass."""
    network, codec = bundled("emoji_llamagen", "transformer"), bundled("emoji_vq", "tokenizer")
    steps: Steps = []
    job = token_job(network, batch, 0, False)
    seconds = 0.0
    for kept in (False, True):
        keep = (lambda p: steps.append((p.cond, p.uncond))) if kept else (lambda p: None)
        started = time.perf_counter()
        tokens = generate_tokens(network, job, CPU, on_step=keep).tokens
        codec.decode(codec.lookup(tokens, network.config.grid))
        seconds = time.perf_counter() - started
    return seconds, job.run, steps


def image_grid(run: RunInfo) -> tuple[int, int] | None:
    """What AR Decode gives a recorder: the (h, w) of a token-wise run's square image."""
    side = math.isqrt(run.count)
    return (side, side) if run.kind == "token" else None


def guide(name: str, run: RunInfo, steps: Steps) -> float:
    """Seconds one chain takes over all steps."""
    started = time.perf_counter()
    recorder = TraceRecorder(run.grids, image_grid(run)) if name == "CFG recorded" else None
    chain = Chain(CHAINS[name])
    going = chain.begin(run, recorder) if recorder else chain.begin(run)
    for k, (cond, uncond) in enumerate(steps):
        going.apply(k, cond, uncond)
    if recorder:
        recorder.finish()
    return time.perf_counter() - started


def extra_memory(name: str, height: int, width: int, vocab: int) -> float:
    """MB that one chain takes in a fresh process on its largest step (and the one before, for SSG)."""
    guide(name, *steps_of(((1, 1), (2, 2)), 8))  # whatever is loaded at first use
    before = (max(height - 1, 1), max(width - 1, 1))
    run, steps = steps_of((before, (height, width)), vocab)
    start = held_bytes()
    guide(name, run, steps)
    return (peak_bytes() - start) / 1e6


def steps_of(grids: tuple[tuple[int, int], ...], vocab: int) -> tuple[RunInfo, Steps]:
    """A run on such grids, and random logits of its steps."""
    run = RunInfo("scale", grids, published=Schedule())
    return run, [(torch.randn(1, h * w, vocab), torch.randn(1, h * w, vocab)) for h, w in grids]


def measured_memory(name: str, height: int, width: int, vocab: int) -> int:
    """`extra_memory` in a process of its own."""
    sizes = [str(size) for size in (height, width, vocab)]
    command = [sys.executable, "-m", "benchmarks.guidance", "--memory", name, *sizes]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=EXACT, cwd=ROOT)
    return int(done.stdout)


def large_grid() -> list[str]:
    """Print every chain's memory on a large grid; the names of those that take too much."""
    print("64 x 64 grid, 4096 tokens in the vocabulary, MB beside the logits:")
    over = []
    for name in CHAINS:
        memory = measured_memory(name, *LARGE)
        print(f"- {name}: {memory}", flush=True)
        if memory > MOST:
            over.append(name)
    return over


def acts(name: str, run: RunInfo) -> bool:
    """Whether a chain can act on a run of this kind."""
    try:
        Chain(CHAINS[name]).begin(run)
    except ValueError:
        return False
    return True


def table(model: str, batch: int, repeats: int) -> None:
    """Print one model's rows."""
    of_tokens = model == TOKEN_WISE
    seconds, run, steps = record_token_run(batch) if of_tokens else record_run(model, batch)
    times: dict[str, list[float]] = {name: [] for name in CHAINS if acts(name, run)}
    for _ in range(repeats + 1):
        for name in times:
            times[name].append(guide(name, run, steps))
    base = statistics.median(times["CFG"][1:])
    (height, width), vocab = run.grids[-1], steps[0][0].shape[-1]
    for name in times:
        own = statistics.median(times[name][1:])
        memory = "" if of_tokens else measured_memory(name, height, width, vocab)
        print(
            f"| {model} | {batch} | {name} | {1000 * own:.1f} | {(own - base) / seconds:+.2%} | {memory} |",
            flush=True,
        )
    print(f"| {model} | {batch} | *whole run* | {1000 * seconds:.0f} | | |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--batch", type=int, nargs="+", default=[1])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--memory", nargs=4, help=argparse.SUPPRESS)
    options: Any = parser.parse_args()
    with torch.inference_mode():
        if options.memory:
            name, *sizes = options.memory
            print(f"{extra_memory(name, *map(int, sizes)):.0f}")
            return 0
        if options.model:
            print(
                "| model | images | chain | ms in the chain | over CFG, of the run | MB beside one image's logits |"
            )
            print("|---|---|---|---|---|---|")
        for model in options.model:
            for batch in options.batch:
                table(model, batch, options.repeats)
    over = large_grid()
    if over:
        print(f"more than {MOST} MB: {', '.join(over)}")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
