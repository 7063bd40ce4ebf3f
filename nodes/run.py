"""Runs a described sampling in the host: memory, progress, cancel, preview, picture."""

import time
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
from ..loaders.place import decode_chunk, run_bytes, to_gpu
from ..sampling.draw import StreamDrawer, Streams
from .loops import LOOPS
from .picture_trace import PictureTrace
from .types import Sampling

PREVIEW_SECONDS = 0.2


def run_sampling(sampling: Sampling) -> tuple[Tensor, PictureTrace]:
    """Generate and decode: IMAGE (B, H, W, 3) in 0-1, fp32, and what was recorded on the way.

    Raises:
        ValueError: a guidance that cannot act on this model, before anything is computed.
    """
    job = describe(sampling)
    features, trace = sample(sampling, job, Reporter(sampling))
    image = to_image(decode(sampling, features))
    return image, PictureTrace.of(trace, image, job.chain.names)


def sample(sampling: Sampling, job: Any, report: "Reporter") -> tuple[Tensor, Trace]:
    """Run the loop with the models on the device: what the tokenizer decodes, and what was recorded."""
    model = sampling.model
    rows = job.batch * (1 + any(job.chain.needs_uncond(job.run)))
    to_gpu(
        [model.patcher, model.tokenizer_patcher],
        run_bytes(model.network, model.tokenizer, rows, job.batch),
    )
    loop, device = LOOPS[model.family.kind], model.patcher.load_device
    recorder = TraceRecorder(job.run.grids, loop.picture(model.config))
    features = loop.features(model, job, device, report, recorder)
    return features, recorder.finish()


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
    return loop.job(
        conditions=sampling.conditioning.branches(model, sampling.copies),
        batch=sampling.batch,
        run=run,
        chain=chain,
        draw=StreamDrawer(sampling.filters, Streams(sampling.seed, sampling.batch)),
    )


def decode(sampling: Sampling, features: Tensor) -> Tensor:
    """Feature maps -> pictures (B, 3, H, W) in [-1, 1] on the CPU, a few at a time."""
    model = sampling.model
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
