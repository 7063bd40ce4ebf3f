#!/usr/bin/env python3
"""Pictures of the bundled model under many guidances, judged: what docs/guidance-sweep.md is made from.

    python benchmarks/sweep.py [--seeds 5] [--pictures 100] [--workers 2] [--only CFG IGG] [--output .bundled-work/sweep]

Every setting makes pictures of the same classes from the same seeds through the loop the nodes use, and a small
classifier trained on the same drawings judges them. OUTPUT gets one file per setting and seed: the classifier's
features, which pictures it recognised, and evenness, divergence and entropy of every step (of the whole term that the
chain added). What is there already is not made again, so a run that was stopped goes on where it was; seeds come
one after the other, so that whatever is there is complete for the first seeds. `sweep_report.py` makes tables and plots.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from pack import ROOT, load_pack  # noqa: E402

load_pack()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from ar_guidance.guidance.base import Run  # noqa: E402
from ar_guidance.guidance.chain import Chain  # noqa: E402
from ar_guidance.guidance.measure import measure as measure_trace  # noqa: E402
from ar_guidance.guidance.record import Trace, TraceRecorder  # noqa: E402
from ar_guidance.guidance.schedule import Schedule  # noqa: E402
from ar_guidance.nodes.subject import subject_from_border  # noqa: E402
from ar_guidance.sampling.draw import Filters, StreamDrawer, Streams  # noqa: E402
from ar_guidance.sampling.scalewise import ScalewiseRun, generate  # noqa: E402
from ar_guidance.tools.bundled.classifier import judge, load_classifier  # noqa: E402
from ar_guidance.tools.bundled.groups import ANY_STYLE  # noqa: E402
from ar_guidance.tools.bundled.sample import load_pair  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from sweep_settings import Setting, scalewise_settings  # noqa: E402  (beside this script)
from torch import Tensor  # noqa: E402

CPU = torch.device("cpu")
BATCH = 50
TESTS = ROOT / "tests" / "bundled"
METRICS = ("evenness", "divergence", "entropy")


@cache
def networks() -> tuple[Any, Any, Any]:
    """Tokenizer, transformer and classifier, once per process."""
    torch.set_num_threads(1)
    return *load_pair(ROOT / "bundled"), load_classifier(TESTS / "classifier.safetensors")


def classes(count: int, seed: int) -> Tensor:
    """Groups of the pictures in the proportions of the training drawings, the same for every setting.

    Evenly spaced places along the drawings sorted by group, from a start of the seed's own: less scatter than drawing
    them at random.
    """
    drawings = load_file(TESTS / "reference.safetensors")["groups"].double()
    start = torch.rand(1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    places = (torch.arange(count) + start) * drawings.sum() / count
    return torch.searchsorted(drawings.cumsum(0), places, right=True)


@torch.inference_mode()
def make(setting: Setting, groups: Tensor, seed: int, first: int) -> tuple[Tensor, Trace]:
    """Pictures (B, 3, 64, 64) in [-1, 1] of these groups, and what was recorded; `first`: place of the first picture."""
    codec, network, _ = networks()
    labels = groups * (ANY_STYLE + 1) + ANY_STYLE
    run = Run("scale", network.config.grids, published=Schedule("linear ramp"))
    recorder = TraceRecorder(run.grids)
    job = ScalewiseRun(
        conditions=(labels, network.null_condition(len(labels))),
        batch=len(labels),
        run=run,
        chain=Chain(setting.links),
        draw=StreamDrawer(Filters(top_p=0.95), Streams(seed, len(labels), first=first)),
    )
    result = generate(network, codec, job, CPU, recorder=recorder)
    return codec.decode(result.features), recorder.finish()


def per_step(pictures: Tensor, trace: Trace) -> dict[str, np.ndarray]:
    """Evenness, divergence and entropy (B, K) of what was added; NaN where nothing was."""
    subject = subject_from_border(pictures.movedim(1, -1) / 2 + 0.5)
    measured = measure_trace(trace, scaled=False, subject=subject)
    return {name: np.array(getattr(measured, name), dtype=np.float32) for name in METRICS}


def job(task: tuple[Setting, int, int, Path]) -> str:
    """Make, judge and store one setting with one seed."""
    setting, seed, count, path = task
    groups = classes(count, seed)
    features, right, rows = [], [], []
    for start in range(0, count, BATCH):
        part = groups[start : start + BATCH]
        pictures, trace = make(setting, part, seed, start)
        seen, logits, _ = judge(networks()[2], pictures)
        features.append(seen.half().numpy())
        right.append((logits.argmax(1) == part).numpy())
        rows.append(per_step(pictures, trace))
    together = {name: np.concatenate([row[name] for row in rows]) for name in METRICS}
    together |= {"features": np.concatenate(features), "right": np.concatenate(right)}
    half_written = path.with_suffix(".part.npz")
    np.savez_compressed(half_written, **together)  # pyright: ignore[reportArgumentType]
    half_written.replace(path)
    return path.stem


def tasks(
    settings: Sequence[Setting], seeds: range, count: int, folder: Path
) -> list[tuple[Setting, int, int, Path]]:
    """What is not there yet, seed by seed."""
    every = [
        (setting, seed, count, folder / f"{setting.slug}~{seed}~{count}.npz")
        for seed in seeds
        for setting in settings
    ]
    return [task for task in every if not task[-1].exists()]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=100, help="per setting and seed")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", nargs="+", help="only these methods", metavar="METHOD")
    parser.add_argument("--output", type=Path, default=ROOT / ".bundled-work" / "sweep")
    options = parser.parse_args()
    chosen = [s for s in scalewise_settings() if s.method in (options.only or [s.method])]
    options.output.mkdir(parents=True, exist_ok=True)
    todo = tasks(chosen, range(options.seeds), options.pictures, options.output)
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        for done, name in enumerate(pool.map(job, todo), start=1):
            print(f"{done}/{len(todo)} {name}", flush=True)


if __name__ == "__main__":
    main()
