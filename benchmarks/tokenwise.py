#!/usr/bin/env python3
"""Milliseconds per token of the token-wise loop: LlamaGen-B with random weights, CFG, one image.

    python -m benchmarks.tokenwise [--official PATH] [--tokens 256] [--device cpu|cuda] [--dtype float32]

Decoding one image reads every weight once per token, so the limit is the memory's bandwidth, measured in the same
process by a matrix-vector product that reads as many bytes (fewer would stay in the processor's cache, which is about
twice as fast and says nothing of a network that does not fit): results are shares of it. `--official PATH` names a
checkout of FoundationVision/LlamaGen; its loop then runs with the same weights, in turns with ours, and greedy tokens
must be equal. Also shown: the most that any loop could gain over the official one, what SoftCFG adds to CFG in time and
memory, and how the time per token grows with the filled cache. Threads wait as PyTorch's default has it, as in ComfyUI.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from ar_guidance.guidance.base import Guidance, RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.softcfg import SoftCFG
from ar_guidance.models.llamagen import LlamaGen, LlamaGenConfig
from ar_guidance.sampling.tokenwise import TokenwiseJob, generate

from .peaks import peak_bytes

CONFIG = LlamaGenConfig(12, 768, 12, 16384, 2048, (16, 16), classes=1000)
SCALE, LABEL, REPEATS = 4.0, 207, 3


def network(device: torch.device, dtype: torch.dtype) -> LlamaGen:
    """LlamaGen-B, weights random."""
    model = LlamaGen(CONFIG, dtype=dtype, device=device).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.02)
    return model


def ours(model: LlamaGen, tokens: int, guidance: Guidance, device: torch.device) -> torch.Tensor:
    """Greedy tokens (1, T) of our loop."""
    job = TokenwiseJob(
        conditions=(torch.tensor([LABEL]), model.null_condition(1)),
        batch=1,
        run=RunInfo("token", ((1, 1),) * tokens),
        chain=Chain((guidance,)),
        draw=lambda logits, step: logits.argmax(-1),
    )
    with torch.inference_mode():
        return generate(model, job, device).tokens


def official(path: str, model: LlamaGen, device: torch.device) -> Callable[[int], torch.Tensor]:
    """The official loop with our weights: a function from a number of tokens to greedy tokens (1, T)."""
    sys.path.insert(0, path)
    from autoregressive.models.generate import generate as theirs  # pyright: ignore
    from autoregressive.models.gpt import GPT_B  # pyright: ignore

    other = GPT_B(vocab_size=CONFIG.vocab, block_size=CONFIG.length, num_classes=CONFIG.classes)
    other.load_state_dict(model.state_dict(), strict=False)
    other = other.to(device, model.compute_dtype).eval()
    label = torch.tensor([LABEL], device=device)

    def run(tokens: int) -> torch.Tensor:
        settings = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "sample_logits": False}
        return theirs(other, label, tokens, cfg_scale=SCALE, cfg_interval=-1, **settings).long()

    return run


def timed(function: Callable[[], Any], device: torch.device) -> float:
    started = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def read_bytes(model: LlamaGen) -> int:
    """Weights that one token needs."""
    parts = [*model.layers.parameters(), *model.output.parameters()]
    return sum(p.numel() * p.element_size() for p in parts)


def limit(model: LlamaGen, device: torch.device) -> float:
    """Seconds to read as many bytes once, by the fastest means at hand."""
    dtype = model.compute_dtype
    rows = read_bytes(model) // dtype.itemsize // 4096
    matrix = torch.randn(rows, 4096, device=device).to(dtype)
    vector = torch.randn(4096, device=device).to(dtype)
    return min(timed(lambda: matrix @ vector, device) for _ in range(5))


def added_memory(runs: dict[str, Callable[[], Any]], device: torch.device) -> float:
    """MB by which SoftCFG's run raises the peak that CFG's has left: of the process, or of the GPU's allocator."""
    peaks = []
    for name in ("CFG", "SoftCFG"):
        runs[name]()
        gpu = device.type == "cuda"
        peaks.append(torch.cuda.max_memory_allocated(device) if gpu else peak_bytes())
    return (peaks[1] - peaks[0]) / 1e6


def compare(runs: dict[str, Callable[[], Any]], tokens: int, model: LlamaGen, device: Any) -> None:
    """Time the runs in turns, with the limit measured beside each turn, and print medians."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    limits = []
    for _ in range(REPEATS):
        limits.append(limit(model, device))
        for name, run in runs.items():
            times[name].append(timed(run, device) / tokens)
    floor = statistics.median(limits)
    print(f"bandwidth {read_bytes(model) / floor / 1e9:.1f} GB/s: {floor * 1e3:.1f} ms per token")
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, value in medians.items():
        print(f"{name:10} {value * 1e3:8.1f} ms per token, {floor / value:.0%} of the limit")
    if "official" in medians:
        print(f"ours is {medians['official'] / medians['CFG']:.2f} times faster than the official")
        print(f"reading the weights alone would be {medians['official'] / floor:.2f} times faster")
    print(f"SoftCFG costs {medians['SoftCFG'] / medians['CFG'] - 1:+.1%} over CFG")


def growth(model: LlamaGen, device: torch.device) -> None:
    """Time of one step with n tokens in the cache: only attention may grow."""
    model.config = replace(CONFIG, grid=(64, 64))
    conditions = (torch.tensor([LABEL]), model.null_condition(1))
    with torch.inference_mode():
        state = model.begin(conditions, device)
        token = torch.zeros(1, 1, dtype=torch.long, device=device)
        for filled in (256, 1024, 4088):
            step = []
            for _ in range(5):
                state.cache.filled = filled
                step.append(timed(lambda: model.step(state, token, 2), device))
            print(f"{filled:5} tokens cached: {statistics.median(step) * 1e3:.1f} ms per token")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--official", help="checkout of FoundationVision/LlamaGen")
    parser.add_argument("--tokens", type=int, default=CONFIG.length)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    options = parser.parse_args()
    device = torch.device(options.device)
    model = network(device, getattr(torch, options.dtype))
    cfg, soft = CFG(SCALE, "constant"), SoftCFG(SCALE, "constant")
    runs: dict[str, Callable[[], Any]] = {
        "CFG": lambda: ours(model, options.tokens, cfg, device),
        "SoftCFG": lambda: ours(model, options.tokens, soft, device),
    }
    print(
        f"SoftCFG takes {added_memory(runs, device):.1f} MB over CFG"
    )  # before others raise the peak
    if options.official:
        theirs = official(options.official, model, device)
        same = torch.equal(theirs(options.tokens), ours(model, options.tokens, cfg, device))
        print(f"greedy tokens equal to the official ones: {'yes' if same else 'NO'}")
        runs["official"] = lambda: theirs(options.tokens)
    print(f"{options.tokens} tokens, {options.dtype}, {torch.get_num_threads()} threads")
    compare(runs, options.tokens, model, device)
    growth(model, device)


if __name__ == "__main__":
    main()
