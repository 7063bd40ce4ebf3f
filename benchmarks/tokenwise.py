#!/usr/bin/env python3
"""Milliseconds per token of the token-wise loop: LlamaGen-B with random weights, CFG, one image.

    python -m benchmarks.tokenwise [--official PATH] [--tokens 256] [--device cpu|cuda] [--dtype float32] [--json FILE]

Decoding one image reads every weight once per token, so the limit is the memory's bandwidth, measured in the same
process on as many bytes (fewer would stay in the processor's cache, which says nothing of a network that does not fit):
by a matrix-vector product, which on the processor is one core's, and by a sum, which all cores share. Results are shares of both. `--official PATH` names a
checkout of FoundationVision/LlamaGen; its loop then runs with the same weights, in turns with ours, and greedy tokens
must be equal. Also shown: the most that any loop could gain over the official one, what SoftCFG adds to CFG in time and
memory, how the time per token grows with the filled cache, and passes of several positions, with linear layers as
`models/parts/linear.py` computes them and as the layers do. Parallel decoding is reckoned, not run: tokens that passes of
eight settle on the bundled model, times what such a pass costs here. Threads wait as PyTorch's default has it, as in ComfyUI.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from ar_guidance.guidance.base import Guidance, RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.softcfg import SoftCFG
from ar_guidance.models.llamagen import LlamaGen, LlamaGenConfig
from ar_guidance.models.parts import linear as layers
from ar_guidance.sampling.parallel import Window
from ar_guidance.sampling.tokenwise import TokenwiseJob, generate

from .harness import TURNS, bundled, in_turns, report, timed
from .parallel import Counted, tokens_of
from .peaks import peak_bytes

CONFIG = LlamaGenConfig(12, 768, 12, 16384, 2048, (16, 16), classes=1000)
SCALE, LABEL = 4.0, 207
WIDE, SEEDS = 8, 10  # positions of a pass that is reckoned with, seeds of the bundled model
Rows = list[dict[str, Any]]


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


def read_bytes(model: LlamaGen) -> int:
    """Weights that one token needs."""
    parts = [*model.layers.parameters(), *model.output.parameters()]
    return sum(p.numel() * p.element_size() for p in parts)


@cache
def as_many(size: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """A matrix of so many bytes."""
    return torch.randn(size // dtype.itemsize // 4096, 4096, device=device).to(dtype)


def limits(model: LlamaGen, device: torch.device) -> dict[str, Callable[[], torch.Tensor]]:
    """Ways to read as many bytes as a token needs, once."""
    matrix = as_many(read_bytes(model), model.compute_dtype, device)
    vector = torch.randn(4096, device=device).to(matrix.dtype)
    return {"product with a vector": lambda: matrix @ vector, "sum": lambda: matrix.sum()}


def added_memory(runs: dict[str, Callable[[], Any]], device: torch.device) -> float:
    """MB by which SoftCFG's run raises the peak that CFG's has left: of the process, or of the GPU's allocator."""
    peaks = []
    for name in ("CFG", "SoftCFG"):
        runs[name]()
        gpu = device.type == "cuda"
        peaks.append(torch.cuda.max_memory_allocated(device) if gpu else peak_bytes())
    return (peaks[1] - peaks[0]) / 1e6


def compare(runs: dict[str, Callable[[], Any]], tokens: int, model: LlamaGen, device: Any) -> Rows:
    """Seconds a token of the runs, in turns with the limit beside each turn; medians, after one of each to warm up."""
    reading = limits(model, device)
    found = in_turns({**reading, **runs}, TURNS, device)
    floors = {name: found.pop(name) for name in reading}
    rows: Rows = [
        {"what": f"the weights' {name}", "ms a token": floor * 1e3}
        | {"GB/s": read_bytes(model) / floor / 1e9}
        for name, floor in floors.items()
    ]
    for name, seconds in found.items():
        row: dict[str, Any] = {"what": name, "ms a token": seconds / tokens * 1e3}
        row |= {f"of the {limit}": floor * tokens / seconds for limit, floor in floors.items()}
        if "official" in found:
            row["official / this"] = found["official"] / seconds
        rows.append(row)
    rows.append({"what": "SoftCFG / CFG", "ratio": found["SoftCFG"] / found["CFG"]})
    return rows


@contextmanager
def plain_layers() -> Iterator[None]:
    """Linear layers as they compute themselves."""
    own = layers._plain
    layers._plain = lambda layer, x: False
    try:
        yield
    finally:
        layers._plain = own


def passes(model: LlamaGen, device: torch.device) -> Rows:
    """Passes of several positions with half an image in the cache, linear layers both ways."""
    conditions = (torch.tensor([LABEL]), model.null_condition(1))
    with torch.inference_mode():
        state = model.begin(conditions, device)
        half = CONFIG.length // 2

        def one(width: int) -> None:
            state.cache.filled = state.tokens = half
            model.read(state, torch.zeros(1, width, dtype=torch.long, device=device), 2)

        def plain(width: int) -> None:
            with plain_layers():
                one(width)

        widths = (1, 2, 4, WIDE, 16)
        runs = {f"W x, {w}": lambda w=w: one(w) for w in widths}
        runs |= {f"x W, {w}": lambda w=w: plain(w) for w in widths}
        found = in_turns(runs, 2 * TURNS, device)
    first = found["W x, 1"]
    return [
        {
            "what": f"pass of {w}",
            "ms": found[f"W x, {w}"] * 1e3,
            "ms, layers' own": found[f"x W, {w}"] * 1e3,
            "passes of one": found[f"W x, {w}"] / first,
        }
        for w in widths
    ]


def settled() -> float:
    """Tokens that a pass of `WIDE` positions settles on the bundled model, CFG 4, no filter, one image."""
    network = bundled("emoji_llamagen", "transformer")
    counted, own = Counted(network), Window._width
    Window._width = lambda self: WIDE
    try:
        for seed in range(SEEDS):
            tokens_of(network, 1, seed, True)
    finally:
        Window._width = own
    return SEEDS * network.config.length / counted.passes


def reckoned(rows: Rows) -> Rows:
    """What parallel decoding would be, from the rows before."""
    by_name = {row["what"]: row for row in rows}
    tokens, cost = settled(), by_name[f"pass of {WIDE}"]["passes of one"]
    row: dict[str, Any] = {"what": f"reckoned: passes of {WIDE}", "tokens a pass": tokens}
    row |= {"passes of one": cost, "ratio": tokens / cost}
    if "official / this" in by_name["CFG"]:
        row["official / this"] = tokens / cost * by_name["CFG"]["official / this"]
    return [row]


def growth(model: LlamaGen, device: torch.device) -> Rows:
    """Time of one step with n tokens in the cache: only attention may grow."""
    model.config = replace(CONFIG, grid=(64, 64))
    conditions = (torch.tensor([LABEL]), model.null_condition(1))
    with torch.inference_mode():
        state = model.begin(conditions, device)
        token = torch.zeros(1, 1, dtype=torch.long, device=device)
        rows = []
        for filled in (256, 1024, 4088):
            step = []
            for _ in range(TURNS):
                state.cache.filled = filled
                step.append(timed(lambda: model.step(state, token, 2), device))
            rows.append(
                {"what": f"{filled} tokens cached", "ms a token": statistics.median(step) * 1e3}
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--official", help="checkout of FoundationVision/LlamaGen")
    parser.add_argument("--tokens", type=int, default=CONFIG.length)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    device = torch.device(options.device)
    model = network(device, getattr(torch, options.dtype))
    cfg, soft = CFG(SCALE, "constant"), SoftCFG(SCALE, "constant")
    runs: dict[str, Callable[[], Any]] = {
        "CFG": lambda: ours(model, options.tokens, cfg, device),
        "SoftCFG": lambda: ours(model, options.tokens, soft, device),
    }
    memory = added_memory(runs, device)  # before others raise the peak
    if options.official:
        theirs = official(options.official, model, device)
        same = torch.equal(theirs(options.tokens), ours(model, options.tokens, cfg, device))
        print(f"greedy tokens equal to the official ones: {'yes' if same else 'NO'}")
        runs["official"] = lambda: theirs(options.tokens)
    rows = compare(runs, options.tokens, model, device)
    rows.append({"what": "memory SoftCFG takes over CFG", "MB": memory})
    rows += passes(model, device)
    rows += reckoned(rows) + growth(model, device)
    report(f"LlamaGen-B, {options.tokens} tokens, {options.dtype}", rows, options.json)


if __name__ == "__main__":
    main()
