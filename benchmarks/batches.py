#!/usr/bin/env python3
"""What the size of a batch does to the images of the bundled models on this processor.

    python -m benchmarks.batches [--images 60] [--batch 6] [--seconds] [--json]

Processors round matrix products of different sizes differently. The logits of an image made with others differ from those of
the same image alone by a few 1e-5, and where a random number falls between the two, another token is drawn: the image is
then another one from there on. Shown: in how many images that happened, and how far logits were apart up to that step (so
that nothing but rounding can be the cause). `--seconds`: also what it costs to make the images one after the other.
Kernels of older processors are forced with ATEN_CPU_CAPABILITY=default|avx2|avx512, MKL_CBWR=COMPATIBLE|AVX2|AVX512 and
ONEDNN_MAX_CPU_ISA=SSE41|AVX2|AVX512_CORE, the number of threads with OMP_NUM_THREADS.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.schedule import Schedule
from ar_guidance.sampling.scalewise import ScalewiseJob
from ar_guidance.sampling.scalewise import generate as generate_scales
from ar_guidance.sampling.tokenwise import TokenwiseJob
from ar_guidance.sampling.tokenwise import generate as generate_tokens
from ar_guidance.tools.bundled.sample import Sampling, load_pair
from torch import Tensor

BUNDLED = Path(__file__).resolve().parents[1] / "bundled"
CPU = torch.device("cpu")
HOW = Sampling(4.0, top_p=0.9)
SEED = 7


@dataclass(frozen=True)
class Made:
    """Guided logits (B, T, V) and tokens (B, T) of every step."""

    logits: list[Tensor]
    tokens: list[Tensor]


@dataclass(frozen=True)
class Rounding:
    """What was seen.

    Attributes:
        images: how many were made in a batch and alone.
        changed: images of which a token differs.
        apart: the largest difference of logits up to the first token that differs.
        repeated: whether each batch, made again, was the same bit for bit.
    """

    kind: str
    images: int
    changed: int
    apart: float
    repeated: bool


def make(pair: tuple[Any, Any], labels: Sequence[int], first: int) -> Made:
    """Images `first`, `first` + 1, ... of the seed, in one batch."""
    codec, network = pair
    rows, steps = torch.tensor(labels), []
    conditions = (rows, network.null_condition(len(rows)))
    shared = {"conditions": conditions, "batch": len(rows), "chain": Chain(HOW.guidances)}
    draw = HOW.drawer(SEED, len(rows), first)
    with torch.inference_mode():
        if hasattr(network.config, "grids"):
            run = RunInfo("scale", network.config.grids, published=Schedule("linear ramp"))
            job = ScalewiseJob(run=run, draw=draw, **shared)
            tokens = generate_scales(network, codec, job, CPU, steps.append).tokens
        else:
            run = RunInfo("token", ((1, 1),) * network.config.length)
            line = TokenwiseJob(run=run, draw=draw, **shared)
            tokens = list(generate_tokens(network, line, CPU, steps.append).tokens.split(1, 1))
    return Made([step.guided for step in steps], tokens)


def apart(together: Made, place: int, alone: Made) -> tuple[bool, float]:
    """Whether image `place` of a batch has other tokens than alone, and how far logits are apart until it has."""
    furthest = 0.0
    for step, tokens in enumerate(alone.tokens):
        difference = together.logits[step][place] - alone.logits[step][0]
        furthest = max(furthest, difference.abs().max().item())
        if not torch.equal(together.tokens[step][place], tokens[0]):
            return True, furthest
    return False, furthest


def compare(kind: str, images: int, batch: int) -> Rounding:
    """Images of the bundled model of this kind ("scale" or "token"), in batches and alone."""
    pair, seen, repeated = load_pair(BUNDLED, kind), [], True
    for first in range(0, images, batch):
        labels = [number * 37 % 199 for number in range(first, min(first + batch, images))]
        together, again = make(pair, labels, first), make(pair, labels, first)
        repeated &= all(map(torch.equal, together.logits, again.logits))
        for place, label in enumerate(labels):
            seen.append(apart(together, place, make(pair, [label], first + place)))
    changed, furthest = sum(c for c, _ in seen), max(f for _, f in seen)
    return Rounding(kind, images, changed, furthest, repeated)


def seconds(kind: str, batch: int = 8) -> tuple[float, float]:
    """Seconds an image, in a batch and one after the other; the best of three."""
    pair, labels = load_pair(BUNDLED, kind), list(range(batch))
    make(pair, labels, 0)
    times: list[list[float]] = [[], []]
    for _ in range(3):
        started = time.perf_counter()
        make(pair, labels, 0)
        middle = time.perf_counter()
        for label in labels:
            make(pair, [label], label)
        times[0].append(middle - started)
        times[1].append(time.perf_counter() - middle)
    return min(times[0]) / batch, min(times[1]) / batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--batch", type=int, default=6)
    parser.add_argument("--seconds", action="store_true")
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args()
    few = max(1, options.images // 3)  # a token-wise image takes many times as long
    found = [compare(k, n, options.batch) for k, n in (("scale", options.images), ("token", few))]
    kernels = f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
    if options.json:
        print(json.dumps([asdict(one) for one in found]))
        return
    for one in found:
        again = "the same bit for bit" if one.repeated else "NOT the same"
        print(
            f"{kernels}, {one.kind}-wise: {one.changed} of {one.images} images changed, logits {one.apart:.1e} apart"
            f" until then; made again: {again}"
        )
        if options.seconds:
            print(
                "  seconds an image: {:.3f} in a batch of 8, {:.3f} alone".format(
                    *seconds(one.kind)
                )
            )


if __name__ == "__main__":
    main()
