"""Runs a described sampling in the host: memory, progress, cancel, preview, picture."""

import time

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
from ..sampling.scalewise import Progress, ScalewiseResult, ScalewiseRun, generate
from .types import PictureTrace, Sampling

PREVIEW_SECONDS = 0.2


def run_sampling(sampling: Sampling) -> tuple[Tensor, PictureTrace]:
    """Generate and decode: IMAGE (B, H, W, 3) in 0-1, fp32, and what was recorded on the way.

    Raises:
        ValueError: a guidance that cannot act on this model, before anything is computed.
    """
    job = describe(sampling)
    result, trace = sample(sampling, job, Reporter(sampling))
    image = to_image(decode(sampling, result.features))
    names = tuple(link.name for link in sampling.links)
    return image, PictureTrace(trace, image.shape[1], image.shape[2], names)


def sample(
    sampling: Sampling, job: ScalewiseRun, report: "Reporter"
) -> tuple[ScalewiseResult, Trace]:
    """Run the loop with the models on the device."""
    model = sampling.model
    rows = job.batch * (1 + any(job.chain.needs_uncond(job.run)))
    to_gpu(
        [model.patcher, model.tokenizer_patcher],
        run_bytes(model.network, model.tokenizer, rows, job.batch),
    )
    device, recorder = model.patcher.load_device, TraceRecorder(job.run.grids)
    result = generate(
        model.network, model.tokenizer, job, device, on_step=report, recorder=recorder
    )
    return result, recorder.finish()


def describe(sampling: Sampling) -> ScalewiseRun:
    """The loop's view of a sampling, checked: every refusal happens here."""
    model = sampling.model
    run = Run(kind="scale", grids=model.config.grids, published=Schedule(model.defaults.schedule))
    chain = Chain(sampling.links)
    chain.check(run)
    labels = torch.tensor(sampling.conditioning.labels).repeat_interleave(sampling.copies)
    return ScalewiseRun(
        conditions=(labels, model.network.null_condition(sampling.batch)),
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
    """Progress bar, cancel and live preview, once per step, over one run or several."""

    def __init__(self, sampling: Sampling, runs: int = 1) -> None:
        self.sampling = sampling
        self.total = runs * len(sampling.model.config.grids)
        self.bar = comfy.utils.ProgressBar(self.total)
        self.done = 0
        self.shown = 0.0

    def __call__(self, progress: Progress) -> None:
        mm.throw_exception_if_processing_interrupted()
        preview = ("JPEG", self.picture(progress), args.preview_size) if self.due() else None
        self.done += 1
        self.bar.update_absolute(self.done, self.total, preview)

    def due(self) -> bool:
        """Whether the user wants previews and the last one is old enough."""
        if args.preview_method == LatentPreviewMethod.NoPreviews:
            return False
        if time.monotonic() - self.shown < PREVIEW_SECONDS:
            return False
        self.shown = time.monotonic()
        return True

    def picture(self, progress: Progress) -> Image.Image:
        """The first picture of the batch as it stands after this scale."""
        image = to_image(self.sampling.model.tokenizer.decode(progress.features[:1]))[0]
        picture = Image.fromarray((image.cpu().numpy() * 255).round().astype("uint8"))
        enlarge = max(1, 256 // picture.width)  # by whole pixels: the host would blur a small one
        return picture.resize(
            (picture.width * enlarge, picture.height * enlarge), Image.Resampling.NEAREST
        )
