#!/usr/bin/env python3
"""What ComfyUI is told that a run needs besides the weights, and what the run takes, for every family.

    python -m benchmarks.memory [--family var ...] [--batch 1 3] [--dtype float32] [--released] [--process] [--json FILE]

"counted": the most bytes that the run's tensors hold at once, counted without computing anything (the networks have no
memory), so the same on every machine; what an operation uses inside itself is not in it, and attention is counted as fused
kernels compute it. "process": by how much a run really raises the memory of a process of its own, with everything that the
libraries take; random weights, after a run to warm up. Networks are small ones of every family, with `--released` every
release as it is. Guidance: CFG, with the family's published settings; token-wise runs are counted for their first tokens,
since their memory is taken at the start.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.record import NULL_RECORDER
from ar_guidance.loaders.estimate import decode_chunk, run_bytes
from ar_guidance.loaders.families import TRANSFORMERS
from ar_guidance.models.family import TransformerFamily
from ar_guidance.sampling import parallel
from ar_guidance.sampling.discrete import DiscreteJob
from ar_guidance.sampling.draw import Streams
from ar_guidance.sampling.loops import LOOPS, AnyJob
from ar_guidance.sampling.mixed import branch_count, last_branches
from ar_guidance.sampling.plan import SamplerSettings, plan
from ar_guidance.sampling.tokenwise import TokenwiseJob
from ar_guidance.tools.pack import ROOT

from .counting import META, LiveBytes, fused_attention
from .families import Model, build, conditions, randomise
from .harness import report
from .peaks import EXACT, held_bytes, peak_bytes
from .releases import RELEASES, Release
from .small import small

FIRST = parallel.WIDTHS[-1] + 1  # tokens that are counted


def job_of(model: Model, batch: int) -> AnyJob:
    """A run under CFG with the family's published settings."""
    given = conditions(model, batch)
    guidances, streams = (CFG(model.defaults.scale),), Streams(0, batch)
    return plan(model, given, batch, guidances, SamplerSettings(), streams)


def shortened(job: AnyJob) -> AnyJob:
    """The same run, no further than its memory grows."""
    if isinstance(job, TokenwiseJob):
        return replace(job, run=replace(job.run, grids=job.run.grids[:FIRST]))
    if isinstance(job, DiscreteJob):
        return replace(job, run=replace(job.run, grids=job.run.grids[:2]), visits=job.visits[:2])
    return job


@contextmanager
def widest_first() -> Iterator[None]:
    """The first pass is as wide as any may become; a run finds out by its clock whether that is worth it."""
    own = parallel.WARM_UP, parallel.BATCH_WARM_UP
    parallel.WARM_UP = parallel.BATCH_WARM_UP = (parallel.WIDTHS[-1],)
    try:
        yield
    finally:
        parallel.WARM_UP, parallel.BATCH_WARM_UP = own


def told(model: Model, job: AnyJob) -> int:
    """What the host is told, as `nodes/execution/run.py` does; half precision draws one token a pass."""
    one_by_one = model.network.compute_dtype != torch.float32
    widest = job.widest if isinstance(job, TokenwiseJob) and not one_by_one else 1
    rows, last = (job.batch * count(job) for count in (branch_count, last_branches))
    sizes = (rows, job.batch, job.conditions, widest, last)
    return run_bytes(model.network, model.tokenizer, *sizes)


def run_and_decode(model: Model, job: AnyJob, device: torch.device) -> None:
    """A whole image, or as much of it as the job says."""
    made = LOOPS[model.family.kind].run(model, job, device, lambda progress: None, NULL_RECORDER)
    for part in made.features.split(decode_chunk(model.tokenizer, model.config)):
        model.tokenizer.decode(part)


def counted(family: TransformerFamily, release: Release, batch: int, dtype: Any) -> tuple[int, int]:
    """(told, counted) bytes; nothing is computed."""
    model = build(family, release, dtype, "meta")
    job = shortened(job_of(model, batch))
    length = model.config.length
    with torch.no_grad(), fused_attention(), widest_first(), LiveBytes() as live:
        if isinstance(job, TokenwiseJob):
            LOOPS["token"].run(_Undecoded(model), job, META, lambda progress: None, NULL_RECORDER)
            tokens = torch.zeros(batch, length, dtype=torch.long, device=META)
            features = model.tokenizer.lookup(tokens, model.config.grid)
            for part in features.split(decode_chunk(model.tokenizer, model.config)):
                model.tokenizer.decode(part)
        else:
            run_and_decode(model, job, META)
    return told(model, job), live.peak


class _Undecoded:
    """A model whose few tokens stand for no image."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    @property
    def tokenizer(self) -> Any:
        return self

    def lookup(self, tokens: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        return tokens


def measured(family: TransformerFamily, release: Release, batch: int, dtype: Any) -> int:
    """Bytes by which a run raises what this process holds."""
    model = build(family, release, dtype, "cpu")
    randomise(model)
    job = job_of(model, batch)
    with torch.inference_mode():
        run_and_decode(model, job, torch.device("cpu"))
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        held = held_bytes()
        run_and_decode(model, job, torch.device("cpu"))
    return peak_bytes() - held


def in_a_process(options: argparse.Namespace, family: str, batch: int) -> int:
    """`measured` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", "--one", family]
    command += ["--batch", str(batch), "--dtype", options.dtype]
    done = subprocess.run(command, capture_output=True, text=True, env=EXACT, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{family}: {done.stderr[-2000:]}")
    return int(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [family.name for family in TRANSFORMERS]
    parser.add_argument("--family", nargs="+", choices=names, default=names)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--released", action="store_true", help="the releases as they are")
    parser.add_argument("--process", action="store_true", help="run them, too (Linux)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    dtype = getattr(torch, options.dtype)
    by_name = {family.name: family for family in TRANSFORMERS}
    if options.one:
        print(measured(by_name[options.one], small(options.one), options.batch[0], dtype))
        return
    rows = []
    for name in options.family:
        for release in RELEASES[name] if options.released else (small(name),):
            for batch in options.batch:
                said, most = counted(by_name[name], release, batch, dtype)
                row: dict[str, Any] = {"network": release.name, "images": batch}
                row |= {
                    "told MB": said / 1e6,
                    "counted MB": most / 1e6,
                    "told / counted": said / most,
                }
                if options.process and not options.released:
                    most = in_a_process(options, name, batch)
                    row |= {"process MB": most / 1e6, "told / process": said / most}
                rows.append(row)
    report(f"memory of a run besides its weights, {options.dtype}", rows, options.json)


if __name__ == "__main__":
    main()
