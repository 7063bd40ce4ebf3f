"""Runs a described sampling in the host: memory, progress, cancel, preview, picture."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import comfy.model_management as mm
import comfy.utils
import torch
from comfy.cli_args import args
from latent_preview import LatentPreviewMethod
from PIL import Image
from torch import Tensor

from ..guidance.base import Run
from ..guidance.chain import Chain
from ..guidance.record import Trace, TraceRecorder
from ..guidance.schedule import Schedule
from ..loaders.checkpoint import ARModel
from ..loaders.place import decode_chunk, run_bytes, to_gpu
from ..sampling.draw import StreamDrawer, Streams
from .batches import Finished, branches_of, parts_of, streams_of
from .editing import composite, kept_by
from .loops import LOOPS, Generated
from .rescue import collect
from .tokens import owned
from .types import PictureTrace, Sampling

PREVIEW_SECONDS = 0.2


def run_sampling(
    sampling: Sampling, hand_on: bool = False, tell: Callable[[str], None] = logging.warning
) -> Finished:
    """Generate and decode, a large batch in parts: pictures, what was recorded on the way, tokens.

    Args:
        hand_on, tell: what to do with finished parts when a later one fails, see `collect`.

    Raises:
        ValueError: a guidance or an edit that cannot act on this model, before anything is computed.
    """
    parts = parts_of(sampling)
    describe(parts[0])
    report = Reporter(sampling, len(parts))
    return collect(lambda part: run_part(part, report), parts, hand_on, tell)


def run_part(sampling: Sampling, report: "Reporter") -> Finished:
    """Pictures that are made at once."""
    job = describe(sampling)
    made, trace = sample(sampling, job, report)
    model, names = sampling.model, tuple(link.name for link in sampling.links)
    image = composite(to_image(decode(model, made.features)), sampling)
    grids = job.run.grids if model.family.kind == "scale" else (model.config.grid,)
    tokens = owned(model, grids, made.steps, None if made.whole else made.features)
    return Finished(image, PictureTrace(trace, image.shape[1], image.shape[2], names), tokens)


def sample(sampling: Sampling, job: Any, report: "Reporter") -> tuple[Generated, Trace]:
    """Run the loop with the models on the device: what was made, and what was recorded."""
    model = sampling.model
    rows = job.batch * (1 + any(job.chain.needs_uncond(job.run)))
    to_gpu(
        [model.patcher, model.tokenizer_patcher],
        run_bytes(model.network, model.tokenizer, rows, job.batch),
    )
    device, recorder = model.patcher.load_device, TraceRecorder(job.run.grids)
    made = LOOPS[model.family.kind].run(model, job, device, report, recorder)
    return made, recorder.finish()


def describe(sampling: Sampling) -> Any:
    """The loop's view of a sampling, checked: every refusal happens here."""
    model = sampling.model
    loop, defaults = LOOPS[model.family.kind], model.defaults
    run = Run(
        kind=model.family.kind,
        grids=loop.grids(model.config),
        causal=getattr(model.config, "causal", True),
        published=Schedule(defaults.schedule, end=defaults.end, power=defaults.power),
        temperature=sampling.filters.temperature,
    )
    chain = Chain(sampling.links)
    chain.check(run)
    streams = streams_of(sampling)
    job = loop.job(
        conditions=branches_of(sampling),
        batch=sampling.batch,
        run=run,
        chain=chain,
        draw=StreamDrawer(sampling.filters, Streams.of(streams)),
    )
    return replace(job, kept=kept_by(sampling, job.run, streams))


def decode(model: ARModel, features: Tensor) -> Tensor:
    """Feature maps -> pictures (B, 3, H, W) in [-1, 1] on the CPU, a few at a time."""
    pictures = []
    for part in features.split(decode_chunk(model.tokenizer, model.config)):
        mm.throw_exception_if_processing_interrupted()
        pictures.append(model.tokenizer.decode(part).to(mm.intermediate_device()))
    return torch.cat(pictures)


def to_image(pictures: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1] -> ComfyUI's IMAGE (B, H, W, 3) in 0-1."""
    return (pictures.movedim(1, -1) * 0.5 + 0.5).clamp(0, 1).float().contiguous()


class Reporter:
    """Cancel at every step; progress bar and live preview at every scale, or every row of a token-wise picture.

    `runs`: how many runs of the sampling the one bar covers.
    """

    def __init__(self, sampling: Sampling, runs: int = 1) -> None:
        self.sampling = sampling
        self.loop = LOOPS[sampling.model.family.kind]
        self.every = self.loop.report_every(sampling.model.config)
        self.total = runs * len(self.loop.grids(sampling.model.config))
        self.bar = comfy.utils.ProgressBar(self.total)
        self.done = 0
        self.shown = 0.0

    def __call__(self, progress: Any) -> None:
        mm.throw_exception_if_processing_interrupted()
        self.done += 1
        done = progress.index + 1
        if done % self.every and done < progress.count:
            return
        preview = ("JPEG", self.picture(progress), args.preview_size) if self.due() else None
        self.bar.update_absolute(self.done, self.total, preview)

    def due(self) -> bool:
        """Whether the user wants previews and the last one is old enough; the finished picture is always shown."""
        if args.preview_method == LatentPreviewMethod.NoPreviews:
            return False
        early = time.monotonic() - self.shown < PREVIEW_SECONDS
        if early and self.done < self.total:
            return False
        self.shown = time.monotonic()
        return True

    def picture(self, progress: Any) -> Image.Image:
        """The first picture of the batch as it stands after this step."""
        model = self.sampling.model
        image = to_image(model.tokenizer.decode(self.loop.so_far(model, progress)))[0]
        picture = Image.fromarray((image.cpu().numpy() * 255).round().astype("uint8"))
        enlarge = max(1, 256 // picture.width)  # by whole pixels: the host would blur a small one
        return picture.resize(
            (picture.width * enlarge, picture.height * enlarge), Image.Resampling.NEAREST
        )
