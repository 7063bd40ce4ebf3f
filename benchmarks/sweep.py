#!/usr/bin/env python3
"""Pictures of the bundled model under many guidances, judged: what docs/guidance-sweep.md is made from.

    python -m benchmarks.sweep [--model scale|token] [--seeds 5] [--pictures 100] [--workers 2] [--only CFG IGG]

Every setting makes images of the same classes from the same seeds through the loop the nodes use, and a small
classifier trained on the same drawings judges them. OUTPUT gets one file per setting and seed: the classifier's
features, which images it recognised, and evenness, divergence and entropy of every step (of the whole term that the
chain added). What is there already is not made again, so a run that was stopped goes on where it was; seeds come
one after the other, so that whatever is there is complete for the first seeds. `sweep_report.py` makes tables and plots.
"""

import argparse
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ar_guidance.analysis.measure import SHARE
from ar_guidance.analysis.measure import measure as measure_trace
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.record import Trace, TraceRecorder
from ar_guidance.guidance.schedule import Schedule
from ar_guidance.imaging.subject import subject_from_border
from ar_guidance.sampling.draw import Filters, Streams, StreamSampler
from ar_guidance.sampling.scalewise import ScalewiseJob, generate
from ar_guidance.tools.bundled.classifier import judge, load_classifier
from ar_guidance.tools.bundled.groups import ANY_STYLE
from ar_guidance.tools.bundled.sample import load_pair
from ar_guidance.tools.pack import ROOT
from safetensors.torch import load_file
from torch import Tensor

from . import sweep_tokens
from .sweep_settings import Setting, scalewise_settings
from .sweep_tokens import tokenwise_settings

CPU = torch.device("cpu")
BATCH = 50
TESTS = ROOT / "tests" / "bundled"
METRICS = ("evenness", "divergence", "entropy")


@cache
def networks(model: str = "scale") -> tuple[Any, Any, Any]:
    """Tokenizer, transformer and classifier, once per process."""
    torch.set_num_threads(1)
    pair = load_pair(ROOT / "bundled", model)
    return *pair, load_classifier(TESTS / "classifier.safetensors")


def classes(count: int, seed: int) -> Tensor:
    """Groups of the images in the proportions of the training drawings, the same for every setting.

    Evenly spaced places along the drawings sorted by group, from a start of the seed's own: less scatter than drawing
    them at random.
    """
    drawings = load_file(TESTS / "reference.safetensors")["groups"].double()
    start = torch.rand(1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    places = (torch.arange(count) + start) * drawings.sum() / count
    return torch.searchsorted(drawings.cumsum(0), places, right=True)


@torch.inference_mode()
def make(setting: Setting, groups: Tensor, seed: int, first: int) -> tuple[Tensor, Trace]:
    """Pictures (B, 3, 64, 64) in [-1, 1] of these groups, and what was recorded; `first`: place of the first image."""
    codec, network, _ = networks()
    labels = groups * (ANY_STYLE + 1) + ANY_STYLE
    run = RunInfo("scale", network.config.grids, published=Schedule("linear ramp"))
    recorder = TraceRecorder(run.grids)
    job = ScalewiseJob(
        conditions=(labels, network.null_condition(len(labels))),
        batch=len(labels),
        run=run,
        chain=Chain(setting.guidances),
        draw=StreamSampler(
            Filters(setting.temperature, top_p=0.95, by_entropy=setting.by_entropy),
            Streams(seed, len(labels), first=first),
        ),
    )
    result = generate(network, codec, job, CPU, recorder=recorder)
    return codec.decode(result.features), recorder.finish()


def per_step(pictures: Tensor, trace: Trace) -> dict[str, np.ndarray]:
    """Evenness, divergence (of shares of norm) and entropy (B, K) of what was added; NaN where nothing was."""
    subject = subject_from_border(pictures.movedim(1, -1) / 2 + 0.5)
    measured = measure_trace(trace, scaled=False, subject=subject, spread=SHARE)
    return {name: np.array(getattr(measured, name), dtype=np.float32) for name in METRICS}


@dataclass(frozen=True)
class Task:
    """One setting with one seed."""

    model: str
    setting: Setting
    seed: int
    pictures: int
    path: Path

    def make(self, groups: Tensor, first: int) -> tuple[Tensor, dict[str, np.ndarray]]:
        """A batch of images, and what was measured of each."""
        if self.model == "token":
            pair = networks("token")[:2]
            return sweep_tokens.make(pair, self.setting, groups, self.seed, first)
        pictures, trace = make(self.setting, groups, self.seed, first)
        return pictures, per_step(pictures, trace)


def run(task: Task) -> str:
    """Make, judge and store."""
    groups = classes(task.pictures, task.seed)
    parts: dict[str, list[np.ndarray]] = defaultdict(list)
    for start in range(0, task.pictures, BATCH):
        own = groups[start : start + BATCH]
        pictures, measured = task.make(own, start)
        features, logits, _ = judge(networks(task.model)[2], pictures)
        measured |= {"features": features.half().numpy()}
        measured |= {"right": (logits.argmax(1) == own).numpy()}
        for name, values in measured.items():
            parts[name].append(values)
    together = {name: np.concatenate(values) for name, values in parts.items()}
    half_written = task.path.with_suffix(".part.npz")
    np.savez_compressed(half_written, **together)  # pyright: ignore[reportArgumentType]
    half_written.replace(task.path)
    return task.path.stem


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=["scale", "token"], default="scale")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=100, help="per setting and seed")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", nargs="+", help="only these methods", metavar="METHOD")
    parser.add_argument("--output", type=Path, help="default: .bundled-work/sweep-MODEL")
    given = parser.parse_args()
    folder = given.output or ROOT / ".bundled-work" / f"sweep-{given.model}"
    folder.mkdir(parents=True, exist_ok=True)
    settings = scalewise_settings() if given.model == "scale" else tokenwise_settings()
    every = [
        Task(given.model, s, seed, given.pictures, folder / f"{s.slug}~{seed}~{given.pictures}.npz")
        for seed in range(given.seeds)
        for s in settings
        if s.method in (given.only or [s.method])
    ]
    todo = [task for task in every if not task.path.exists()]
    with ProcessPoolExecutor(given.workers, mp_context=get_context("spawn")) as pool:
        for done, name in enumerate(pool.map(run, todo), start=1):
            print(f"{done}/{len(todo)} {name}", flush=True)


if __name__ == "__main__":
    main()
