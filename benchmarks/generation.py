#!/usr/bin/env python3
"""Seconds per image and peak memory of a whole run: the bundled model, and VAR-d16 with random weights.

    python -m benchmarks.generation [--model bundled d16] [--batch 1] [--device cpu|cuda] [--dtype float32] [--json FILE]

Each model runs in a process of its own, so that its peak is its own. "at the limit" is the time the run's matrix
products would take at the rate that one large linear layer reaches in the same process: the reported share says how far
from the machine's limit the run is.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.schedule import Schedule
from ar_guidance.loaders.detect import find_part
from ar_guidance.loaders.read import read_weights
from ar_guidance.models.parts.levels import KNOWN_SIDES
from ar_guidance.models.parts.linear import quick
from ar_guidance.models.tokenizers.multiscale_vq import (
    MultiScaleVQ,
    MultiScaleVQConfig,
)
from ar_guidance.models.var import VAR, VARConfig
from ar_guidance.sampling.draw import Filters, Streams, StreamSampler
from ar_guidance.sampling.scalewise import ScalewiseJob, generate
from ar_guidance.tools.pack import ROOT
from torch import nn

from .harness import report
from .peaks import peak_bytes

REPEATS = 3


def bundled(dtype: torch.dtype) -> tuple[Any, Any]:
    """The trained model that ships with the pack."""
    networks = []
    for name, part in (("emoji_var", "transformer"), ("emoji_tokenizer", "tokenizer")):
        found = find_part(read_weights(ROOT / "bundled" / f"{name}.safetensors"), part)
        network = found.family.build(found.config, dtype=dtype)
        network.load_state_dict(found.tensors, strict=False)
        networks.append(network.eval())
    return networks[0], networks[1]


def d16(dtype: torch.dtype) -> tuple[Any, Any]:
    """VAR-d16 at 256 x 256 as released, weights random."""
    sides = KNOWN_SIDES[680, 10]
    config = VARConfig(16, 1024, 16, 4096, 32, 1000, sides, 4096)
    network, codec = VAR(config, dtype=dtype), MultiScaleVQ(MultiScaleVQConfig(4096, 32, 160))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.0, 0.02)
    return network.eval(), codec.eval()


MODELS: dict[str, Callable[[torch.dtype], tuple[Any, Any]]] = {"bundled": bundled, "d16": d16}


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP per second of a large linear layer, as the networks have them."""
    layer = quick(nn).Linear(2048, 2048, bias=False, device=device, dtype=dtype)
    a = torch.randn(2048, 2048, device=device, dtype=dtype)
    with torch.inference_mode():
        best = min(timed(lambda: layer(a), device) for _ in range(5))
    return 2 * 2048**3 / best


def flops(network: Any, rows: int) -> float:
    """Multiply-adds x 2 of the transformer's weights over all tokens of all rows (attention itself left out)."""
    per_token = sum(p.numel() for p in network.blocks.parameters() if p.dim() == 2)
    modulation = sum(
        p.numel() for n, p in network.blocks.named_parameters() if "ada_lin" in n and p.dim() == 2
    )
    head = network.head.weight.numel() + network.word_embed.weight.numel()
    return 2.0 * rows * (network.config.length * (per_token - modulation + head) + modulation)


def timed(function: Callable[[], Any], device: torch.device) -> float:
    started = time.perf_counter()
    function()
    if device.type != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter() - started


def measure(name: str, batch: int, device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """One row of the table."""
    network, codec = MODELS[name](dtype)
    network, codec = network.to(device), codec.to(device)
    grids = network.config.grids

    def picture() -> torch.Tensor:
        job = ScalewiseJob(
            conditions=(torch.zeros(batch, dtype=torch.long), network.null_condition(batch)),
            batch=batch,
            run=RunInfo("scale", grids, published=Schedule("linear ramp")),
            chain=Chain((CFG(4.0),)),
            draw=StreamSampler(Filters(top_k=900, top_p=0.95), Streams(0, batch)),
        )
        return codec.decode(generate(network, codec, job, device).features)

    with torch.inference_mode():
        picture()
        seconds = min(timed(picture, device) for _ in range(REPEATS))
        limit = flops(network, 2 * batch) / matrix_rate(device, dtype)
    weights = sum(p.numel() * p.itemsize for m in (network, codec) for p in m.parameters())
    peak = peak_bytes()
    if device.type != "cpu":
        peak = torch.accelerator.max_memory_allocated()
    return {
        "model": name,
        "batch": batch,
        "type": str(dtype)[6:],
        "s per image": seconds / batch,
        "of the matrix limit": limit / seconds,
        "weights MB": weights / 1e6,
        "peak MB": peak / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--batch", type=int, nargs="+", default=[1])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        device, dtype = torch.device(options.device), getattr(torch, options.dtype)
        print(json.dumps(measure(options.model[0], options.batch[0], device, dtype)))
        return
    rows = []
    for model in options.model:
        for batch in options.batch:
            settings = ["--one", "--model", model, "--batch", str(batch)]
            settings += ["--device", options.device, "--dtype", options.dtype]
            command = [sys.executable, "-m", "benchmarks.generation", *settings]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
    report("whole images", rows, options.json)


if __name__ == "__main__":
    main()
