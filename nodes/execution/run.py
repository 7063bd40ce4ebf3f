"""Runs a described sampling in the host: memory, progress, cancel, preview, image."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import comfy.model_management as mm
import comfy.utils
import torch
from comfy.cli_args import args
from latent_preview import LatentPreviewMethod
from PIL import Image
from torch import Tensor

from ...guidance.record import Trace, TraceRecorder
from ...imaging.editing import composite, kept_by, shown
from ...imaging.image_trace import ImageTrace
from ...imaging.preview_budget import ALONE, BESIDE_VIEWER, Budget, expected_seconds
from ...imaging.tokens import owned
from ...imaging.viewer import DECODED, OFF, Json, Send, Viewer
from ...loaders.estimate import pixels, run_bytes
from ...loaders.place import to_gpu
from ...loaders.quote import reason
from ...models.parts.plain_attention import attend_by
from ...sampling.draw import Streams
from ...sampling.loops import LOOPS, AnyJob, AnyProgress, Generated, OnStep, grids_of
from ...sampling.mixed import branch_count, last_branches
from ...sampling.plan import plan, steps
from ...sampling.tokenwise import TokenwiseJob
from ..types import Sampling
from .attention import chosen_attention
from .bar import Bar
from .batches import (
    Finished,
    branches_of,
    join,
    makers_of,
    parts_of,
    run_needs,
    streams_of,
)
from .decoding import as_image, decode
from .rescue import collect_images
from .retry import Halves
from .status import Status

Made = TypeVar("Made")

PREVIEW_SECONDS = 0.2  # between two previews, at least


@dataclass(frozen=True)
class View:
    """What the viewer on the node wants.

    Attributes:
        mode: one of `viewer.CHOICES`.
        candidates: the likeliest tokens before and after guidance, too.
        send: where live maps go.
        status: where it is told how far the run is.
    """

    mode: str = OFF
    candidates: bool = False
    send: Send | None = None
    status: Send | None = None


def run_sampling(
    sampling: Sampling,
    view: View | None = None,
    hand_on: bool = False,
    tell: Callable[[str], None] = logging.warning,
    at_once: int = 0,
) -> Finished:
    """Generate and decode, a large batch in parts: images, what was recorded on the way, tokens.

    Args:
        view: what the viewer wants.
        hand_on, tell: what to do with finished parts when a later one fails, see `collect_images`.
        at_once: images in one pass, at most, see `parts_of`.

    Raises:
        ValueError: a guidance or an edit that cannot act on this model, before anything is computed.
    """
    parts = parts_of(sampling, at_once)
    job = describe(parts[0])
    if job.mixing:
        tell(job.mixing.told(job.run, job.chain.needs_uncond(job.run)))
    seen = view or View()
    share = ALONE if seen.mode == OFF else BESIDE_VIEWER
    report = Reporter(sampling, len(parts), share, seen.status)

    halves = in_halves(sampling, lambda part: run_part(part, report, seen), join)
    return collect_images(lambda part: halves.run(part, report), parts, hand_on, tell)


def in_halves(
    sampling: Sampling, make: Callable[[Sampling], Made], join: Callable[[Sequence[Made]], Made]
) -> Halves[Sampling, Made]:
    """How parts of a sampling are made, in halves where they do not fit into memory."""
    device = sampling.model.patcher.load_device
    return Halves(make, join, lambda images: run_needs(sampling, images), device)


def run_part(sampling: Sampling, report: "Reporter", view: View) -> Finished:
    """Images that are made at once."""
    job = describe(sampling)
    report.status.begin(sampling.batch)
    recorder = recorder_of(sampling, job)
    viewer = None if view.mode == OFF else watch(sampling, view, recorder)

    def on_step(progress: AnyProgress) -> None:
        shown = report(progress)
        watching = viewer
        if watching is not None and harmless(lambda: watching(progress)) and shown:
            with report.budget.spending():
                harmless(lambda: watching.live(progress))

    made, trace = sample(sampling, job, on_step, recorder)
    model = sampling.model
    image = composite(as_image(decode(model, made.features)), sampling)
    harmless(lambda: report.finish(image))
    tokens = owned(model, grids_of(model), made.steps, None if made.whole else made.features)
    makers = makers_of(sampling)
    maps: Json = {}
    if viewer is not None:
        harmless(lambda: maps.update(viewer.payload(image, made.features, trace, makers)))
    recorded = ImageTrace.of(trace, image, job.chain.names)
    notes = (*sampling.notes, *job.chain.notes(job.run))
    return Finished(shown(image, sampling), recorded, tokens, maps, notes)


def watch(sampling: Sampling, view: View, recorder: TraceRecorder) -> Viewer:
    """A viewer of this run."""
    model = sampling.model

    def decoded(features: Tensor) -> Tensor:
        return as_image(model.tokenizer.decode(features.to(model.patcher.load_device))).cpu()

    return Viewer(
        recorder,
        LOOPS[model.family.kind].features_so_far,
        decoded if view.mode == DECODED else None,
        view.candidates,
        view.send if wants_previews() else None,
        lambda tokens: model.tokenizer.lookup(tokens[None], (1, len(tokens)))[0, :, 0].T,
        model.tokenizer.config.vocab,
    )


def recorder_of(sampling: Sampling, job: AnyJob) -> TraceRecorder:
    """A recorder for this run."""
    model = sampling.model
    return TraceRecorder(job.run.grids, LOOPS[model.family.kind].image_grid(model.config))


def sample(
    sampling: Sampling, job: AnyJob, on_step: OnStep, recorder: TraceRecorder | None = None
) -> tuple[Generated, Trace]:
    """Run the loop with the models on the device: what was made, and what was recorded."""
    model = sampling.model
    device, recorder = model.patcher.load_device, recorder or recorder_of(sampling, job)
    attend_by(model.patcher.model, chosen_attention())
    to_gpu([model.patcher, model.tokenizer_patcher], job_needs(sampling, job))
    made = LOOPS[model.family.kind].run(model, job, device, on_step, recorder)
    return made, recorder.finish()


def job_needs(sampling: Sampling, job: AnyJob) -> int:
    """Bytes that a job is estimated to take besides the weights."""
    model = sampling.model
    return run_bytes(
        model.network,
        model.tokenizer,
        job.batch * branch_count(job),
        job.batch,
        job.conditions,
        widest(job, model.network.compute_dtype),
        job.batch * last_branches(job),
        wants_previews(),
        job.cache,
    )


def widest(job: AnyJob, dtype: torch.dtype) -> int:
    """Most tokens that a pass of the run draws for one image, beside those of a scale; see `tokenwise.generate`."""
    return job.widest if isinstance(job, TokenwiseJob) and dtype == torch.float32 else 1


def describe(sampling: Sampling) -> AnyJob:
    """The loop's view of a sampling, checked: every refusal happens here."""
    model = sampling.model
    streams = streams_of(sampling)
    job = plan(
        model,
        branches_of(sampling),
        sampling.batch,
        sampling.guidances,
        sampling.sampler_settings,
        Streams.of(streams),
    )
    return replace(job, kept=kept_by(sampling, job.run, streams))


def harmless(show: Callable[[], object]) -> bool:
    """Do what only shows the run; whether it worked. An image is worth more than its preview: a failure is logged and no more.

    A cancel goes through, as does running out of memory for good: the run itself would meet it next.
    """
    try:
        show()
    except mm.InterruptProcessingException:
        raise
    except Exception as error:
        logging.warning("[AR Guidance] a preview failed, the run goes on: %s", reason(error))
        return False
    return True


class Reporter:
    """Cancel at every step; progress bar and live preview at every scale, or every row of a token-wise image.

    Previews and live maps together take at most `share` of the time (see `budget`): a step's image is left out where one as
    expensive as the last would make it more. The finished image is shown by `finish`.

    `runs`: how many runs of the sampling the one bar covers. `status`: where it is told in words how far they are.
    """

    def __init__(
        self,
        sampling: Sampling,
        runs: int = 1,
        share: float = ALONE,
        status: Send | None = None,
    ) -> None:
        self.sampling = sampling
        self.loop = LOOPS[sampling.model.family.kind]
        self.every = self.loop.report_every(sampling.model.config)
        self.total = runs * len(steps(sampling.model, sampling.sampler_settings))
        self.bar = Bar(comfy.utils.ProgressBar(self.total))
        self.status = Status(steps(sampling.model), runs, sampling.batch, status)
        self.done = 0
        self.shown = time.monotonic()
        decoder = sampling.model.tokenizer
        self.budget = Budget(
            share, expected_seconds(decoder, pixels(decoder, sampling.model.config))
        )

    def __call__(self, progress: AnyProgress) -> bool:
        """Report a step; whether it was one of those that are shown."""
        mm.throw_exception_if_processing_interrupted()
        self.budget.start()
        self.done += 1
        self.status.step(progress.index)
        done = progress.index + 1
        if done % self.every and done < progress.count:
            return False
        due, preview = self.due(), None
        if due and self.budget.affords_preview():
            with self.budget.previewing():
                frames: list[tuple[str, Image.Image, int]] = []
                harmless(lambda: frames.append(framed(self.so_far(progress))))
                preview = frames[0] if frames else None
        self.bar.update(self.done, self.total, preview)
        return due

    def again(self, done: int) -> None:
        """Go back to so many steps, and make two runs of the one that failed."""
        self.done, self.total = (
            done,
            self.total + len(steps(self.sampling.model, self.sampling.sampler_settings)),
        )

    def finish(self, image: Tensor) -> None:
        """Show the first of the finished images (B, H, W, 3)."""
        if wants_previews():
            self.bar.update(self.done, self.total, framed(image[0]))

    def due(self) -> bool:
        """Whether the user wants previews and the last one is old enough."""
        now = time.monotonic()
        if not wants_previews() or now - self.shown < PREVIEW_SECONDS:
            return False
        self.shown = now
        return True

    def so_far(self, progress: AnyProgress) -> Tensor:
        """The first image (H, W, 3) of the batch as it stands after this step."""
        model = self.sampling.model
        return as_image(model.tokenizer.decode(self.loop.so_far(model, progress)))[0]


def framed(image: Tensor) -> tuple[str, Image.Image, int]:
    """An image (H, W, 3) as the host's progress bar takes it."""
    frame = Image.fromarray((image.cpu().numpy() * 255).round().astype("uint8"))
    enlarge = max(1, 256 // frame.width)  # by whole pixels: the host would blur a small one
    size = (frame.width * enlarge, frame.height * enlarge)
    return "JPEG", frame.resize(size, Image.Resampling.NEAREST), args.preview_size


def wants_previews() -> bool:
    """The user's choice in ComfyUI's settings, which may change between runs."""
    return args.preview_method != LatentPreviewMethod.NoPreviews
