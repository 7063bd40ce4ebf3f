"""Recorded images of the bundled scale-wise model under one guidance, through the loop that the nodes use."""

from functools import cache
from typing import Any

import torch
from ar_guidance.guidance.base import Guidance, RunInfo
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.record import Trace, TraceRecorder
from ar_guidance.guidance.schedule import Schedule
from ar_guidance.sampling.draw import Filters, Streams, StreamSampler
from ar_guidance.sampling.scalewise import ScalewiseJob, generate
from ar_guidance.tools.bundled.groups import ANY_STYLE
from ar_guidance.tools.bundled.sample import load_pair
from ar_guidance.tools.evaluate.conditions import TrainingClasses
from ar_guidance.tools.pack import ROOT
from torch import Tensor


@cache
def networks() -> tuple[Any, Any]:
    """Tokenizer and transformer, once per process."""
    torch.set_num_threads(1)
    return load_pair(ROOT / "bundled", "scale")


def classes(count: int, seed: int) -> Tensor:
    """Groups of the images (B,) in the proportions of the training drawings, in order, the same for every guidance."""
    training = TrainingClasses(count)
    return torch.tensor(sorted(training.group(seed, image) for image in range(count)))


@torch.inference_mode()
def make(guidance: Guidance, groups: Tensor, seed: int) -> tuple[Tensor, Trace]:
    """Images (B, 3, 64, 64) in [-1, 1] of these groups, and what was recorded."""
    codec, network = networks()
    labels = groups * (ANY_STYLE + 1) + ANY_STYLE
    run = RunInfo("scale", network.config.grids, published=Schedule("linear ramp"))
    recorder = TraceRecorder(run.grids)
    job = ScalewiseJob(
        conditions=(labels, network.null_condition(len(labels))),
        batch=len(labels),
        run=run,
        chain=Chain((guidance,)),
        draw=StreamSampler(Filters(top_p=0.95), Streams(seed, len(labels), first=0)),
    )
    result = generate(network, codec, job, torch.device("cpu"), recorder=recorder)
    return codec.decode(result.features), recorder.finish()
