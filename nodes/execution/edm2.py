"""Runs a described EDM2 sampling in the host: memory, progress, cancel, preview, latents and images."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import comfy.latent_formats
import comfy.model_management as mm
import comfy.utils
import folder_paths
import latent_preview
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from ...guidance.base import Grid, RunInfo
from ...guidance.chain import Chain
from ...guidance.record import Trace, TraceRecorder, join_traces
from ...imaging.image_trace import ImageTrace
from ...loaders.edm2 import EDM2Model
from ...loaders.place import to_gpu
from ...models.edm2.images import VAE_FACTOR, from_pixels, from_vae, raw_latents
from ...models.parts.plain_attention import attend_by
from ...sampling.diffusion import Guided, diffusion_run
from ...sampling.draw import Streams
from ...sampling.heun import Progress, generate
from ..types import EDM2Sampling
from .attention import chosen_attention
from .batches import MOST_AT_ONCE, SHARE, streams_of
from .host import VAE
from .rescue import PREFIX, STOPS, collect, saved
from .retry import Halves
from .run import PREVIEW_SECONDS, framed, wants_previews

FEWER = "set batch_size on AR EDM2 Sampler to {}"  # what to do where memory is short
SD_SCALE = 0.18215  # what the host's previews of such latents expect them to be multiplied by


@dataclass(frozen=True)
class Denoised:
    """Images that are done.

    Attributes:
        x: in the network's units, (B, C, H, W), on the CPU.
        image: (B, H, W, 3) in 0-1; None for latents without a VAE.
        trace: what was recorded.
        guidance: names of the chain.
    """

    x: Tensor
    image: Tensor | None
    trace: Trace
    guidance: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.x)

    @property
    def image_trace(self) -> ImageTrace:
        """The trace for the inspecting nodes."""
        if self.image is not None:
            return ImageTrace.of(self.trace, self.image, self.guidance)
        height, width = self.x.shape[-2:]
        return ImageTrace(self.trace, height, width, None, self.guidance)


def run_edm2(
    sampling: EDM2Sampling,
    vae: VAE | None = None,
    hand_on: bool = False,
    tell: Callable[[str], None] = logging.warning,
) -> Denoised:
    """Sample and, where there is a way, decode; a large batch in parts.

    Raises:
        ValueError: a guidance that cannot act, or a VAE that cannot decode these latents, before anything is computed.
    """
    model = sampling.edm2
    check_vae(vae, model)
    run = run_of(sampling)
    Guided.of(model.network, model.guide, sampling.guidances, run)
    parts = parts_of(sampling)
    report = Reporter(model, sampling.heun.steps, len(parts))
    sample = partial(run_part, run=run, report=report)
    halves = Halves(sample, join, partial(needs, sampling), model.patcher.load_device, FEWER)

    def make(part: EDM2Sampling) -> Denoised:
        made = halves.run(part, report)
        return replace(made, image=decoded(made, model, vae, tell))

    return collect(make, parts, join, keep, hand_on, tell)


def needs(sampling: EDM2Sampling, images: int) -> int:
    """Bytes that so many images made at once take besides the weights."""
    return sampling.edm2.network.run_bytes(images, grid_of(sampling))


def run_of(sampling: EDM2Sampling) -> RunInfo:
    """What guidances are told about a run."""
    return diffusion_run(sampling.heun.steps, grid_of(sampling))


def grid_of(sampling: EDM2Sampling) -> Grid:
    """(h, w) of what the network draws."""
    factor = pixels_per_side(sampling.edm2)
    return sampling.height // factor, sampling.width // factor


def pixels_per_side(model: EDM2Model) -> int:
    """Image pixels per side of a position."""
    return VAE_FACTOR if model.config.latent else 1


def check_vae(vae: VAE | None, model: EDM2Model) -> None:
    """Raise ValueError when a VAE cannot decode what the network makes."""
    if vae is None or not model.config.latent:
        return
    vae.throw_exception_if_invalid()
    channels, reduction = getattr(vae, "latent_channels", 4), getattr(vae, "downscale_ratio", 8)
    flat = getattr(vae, "latent_dim", 2) == 2
    if channels != model.config.channels or reduction != VAE_FACTOR or not flat:
        kind = "" if flat else ", for video"
        raise ValueError(
            f"this VAE cannot decode EDM2's latents: it has {channels} channels and reduces by {reduction}{kind}, they have"
            f" {model.config.channels} and {VAE_FACTOR}. Load sd-vae-ft-mse (vae-ft-mse-840000-ema-pruned) with Load VAE"
        )


def parts_of(sampling: EDM2Sampling) -> list[EDM2Sampling]:
    """The same batch as samplings of a few images each, which one after the other fit into memory."""
    images = sampling.images
    one = needs(sampling, 1)
    memory = cast(int, mm.get_total_memory(sampling.edm2.patcher.load_device))
    more = needs(sampling, 2) - one
    size = min(MOST_AT_ONCE, max(1, 1 + int((SHARE * memory - one) // max(more, 1))))
    starts = range(0, len(images), size)
    return [replace(sampling, only=images[start : start + size]) for start in starts]


def run_part(sampling: EDM2Sampling, run: RunInfo, report: "Reporter") -> Denoised:
    """Images that are made at once, not decoded yet."""
    model, recorder = sampling.edm2, TraceRecorder(run.grids, noise=noise_of(sampling))
    to_gpu(model.patchers, needs(sampling, sampling.batch))
    device = model.patcher.load_device
    labels = labels_of(sampling).to(device)
    streams = Streams.of(streams_of(sampling))
    shape = (model.config.channels, *grid_of(sampling))
    guide = model.guide
    denoiser = Guided.of(
        lambda x, sigma: model.network(x, sigma, labels),
        None if guide is None else lambda x, sigma: guide(x, sigma, labels),
        sampling.guidances,
        run,
        recorder,
    )
    for network in (model.network, guide):
        if network is not None:
            attend_by(network, chosen_attention())
    x = generate(
        stopping(denoiser),
        streams.normals(shape, device),
        sampling.heun,
        report,
        lambda: streams.normals(shape, device),
    )
    x = x.to(mm.intermediate_device())
    return Denoised(x, None, recorder.finish(), Chain(sampling.guidances).names)


def stopping(denoiser: Guided) -> Guided:
    """The same, which looks before every evaluation whether the user has cancelled."""

    def main(x: Tensor, sigma: Tensor) -> Tensor:
        mm.throw_exception_if_processing_interrupted()
        return denoiser.main(x, sigma)

    return replace(denoiser, main=main)


def noise_of(sampling: EDM2Sampling) -> tuple[float, ...]:
    """The noise level at the start of every step."""
    return tuple(sampling.heun.sigmas()[:-1].tolist())


def labels_of(sampling: EDM2Sampling) -> Tensor:
    """One-hot classes of the images to be made, (B, classes); "no class" is all zeros."""
    labels = sampling.conditioning.labels
    chosen = torch.tensor([labels[image // sampling.copies] for image in sampling.images])
    classes = sampling.edm2.config.classes
    return F.one_hot(chosen, classes + 1)[:, :classes].float()


def decoded(
    made: Denoised, model: EDM2Model, vae: VAE | None, tell: Callable[[str], None]
) -> Tensor | None:
    """IMAGE (B, H, W, 3), or None for latents without a VAE. Should decoding fail, the latents are kept in a file."""
    if not model.config.latent:
        return from_pixels(made.x).movedim(1, -1).contiguous()
    if vae is None:
        return None
    try:
        return from_vae(vae.decode(raw_latents(made.x))).float().cpu()
    except STOPS as stop:
        note = f"the latents were finished before: {keep(made)}"
        tell(note)
        stop.args = (f"{stop}\n\n{note}" if str(stop) else note,)
        raise


def join(parts: Sequence[Denoised]) -> Denoised:
    """Parts of a batch as one."""
    images = [part.image for part in parts if part.image is not None]
    return Denoised(
        torch.cat([part.x for part in parts]),
        torch.cat(images) if images else None,
        join_traces([part.trace for part in parts]),
        parts[0].guidance,
    )


def keep(made: Denoised) -> str:
    """Write what is finished to the temp folder, images or else latents, and say where."""
    if made.image is not None:
        return saved(made.image)
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{PREFIX}_{time.time_ns()}.latent"
    tensors = {"latent_tensor": raw_latents(made.x).contiguous()}
    save_file({**tensors, "latent_format_version_0": torch.tensor([])}, path)
    return (
        f"they are in ComfyUI's temp folder as {path.name}, for Load Latent. It is emptied when"
        " ComfyUI starts"
    )


class Reporter:
    """Progress bar of `runs` runs of so many steps, and live preview of the denoised image after every step."""

    def __init__(self, model: EDM2Model, steps: int, runs: int) -> None:
        self.model, self.steps, self.total = model, steps, runs * steps
        self.bar = comfy.utils.ProgressBar(self.total)
        self.done = 0
        self.shown = time.monotonic()
        self.previewer: Any = None

    def __call__(self, progress: Progress) -> None:
        self.done += 1
        preview = None
        if wants_previews() and time.monotonic() - self.shown >= PREVIEW_SECONDS:
            self.shown = time.monotonic()
            preview = self.preview(progress.denoised[:1])
        self.bar.update_absolute(self.done, self.total, preview)

    def again(self, done: int) -> None:
        """Go back to so many steps, and make two runs of the one that failed."""
        self.done, self.total = done, self.total + self.steps

    def preview(self, x: Tensor) -> tuple[str, Image.Image, int] | None:
        """The first image of the batch as the host's progress bar takes it."""
        if not self.model.config.latent:
            return framed(from_pixels(x)[0].movedim(0, -1))
        if self.previewer is None:
            self.previewer = latent_preview.get_previewer(x.device, comfy.latent_formats.SD15())
        if self.previewer is None:
            return None
        kind, image, size = self.previewer.decode_latent_to_preview_image(
            "JPEG", raw_latents(x) * SD_SCALE
        )
        return kind, image.point(lambda value: 2 * value - 255), size
