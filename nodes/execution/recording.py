"""Listening to a stock diffusion model while the host's own sampler runs it: where guidance pushed, step by step.

The host gives a node no way to hand out anything but a changed model before the sampler runs, and the sampler gives latents
only. So a recording is made beforehand, filled during the run, and found again by the latents the run ended with.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ...guidance.diffusion import grid_of, to_tokens
from ...guidance.record import NULL_RECORDER, Numbered, Recorder, Trace, TraceRecorder, norms
from ...imaging.image_trace import ImageTrace, fingerprint
from .host import DiffusionModel, PostCFGArguments

RUNS = 8  # of one recording that are remembered, the newest
SAME = 1e-4  # relative difference up to which two noise levels are the same


@dataclass
class RecordedRun:
    """One run of a sampler.

    Attributes:
        sigmas: the noise level every step starts from.
        recorder: made when the first latent is seen.
        index: the step of the evaluation under way; None between the sampler's levels (second-order samplers).
        branches: both predictions of that evaluation.
        problem: why nothing can be recorded.
    """

    sigmas: tuple[float, ...]
    recorder: TraceRecorder | None = None
    index: int | None = None
    branches: tuple[Tensor, Tensor] | None = None
    problem: str = ""

    def begin(self, latent: Tensor, sigma: Tensor) -> None:
        """An evaluation of the model begins."""
        self.branches, level = None, float(sigma.max())
        near = [k for k, s in enumerate(self.sigmas) if abs(s - level) <= SAME * max(s, level)]
        self.index = near[0] if near else None
        if self.recorder is None and not self.problem:
            try:
                grids = (grid_of(latent),) * len(self.sigmas)
                self.recorder = TraceRecorder(grids, noise=self.sigmas)
            except ValueError as error:
                self.problem = str(error)

    def listen(self, args: PostCFGArguments) -> None:
        """Both branches, as a post-CFG hook is given them; there is one only where cfg is 1."""
        if self.recorder is None or self.index is None or not args["uncond"]:
            return
        self.branches = args["cond_denoised"], args["uncond_denoised"]
        scales = self.recorder.numbers.get("cfg scale", [None] * len(self.sigmas))
        if scales[self.index] is None:  # AR Diffusion: IGG may have replaced it
            self.recorder.note("cfg scale", self.index, float(args["cond_scale"]))

    def end(self, guided: Tensor) -> None:
        """The evaluation has ended with this prediction."""
        if self.branches is None or self.recorder is None or self.index is None:
            return
        cond, uncond = (to_tokens(branch) for branch in self.branches)
        self.recorder.note_vocabulary(uncond.shape[-1])
        beside = uncond.norm(dim=-1)
        nudge = norms(cond - uncond, beside)
        added = norms(to_tokens(guided) - uncond, beside)
        for name, values in (("nudge", nudge), ("cfg direction", nudge), ("added", added)):
            self.recorder.add(name, self.index, lambda values=values: values)


@dataclass
class Recording:
    """What travels on an AR_RECORDING link; the host's copies of a model share it."""

    runs: deque[tuple[str, ImageTrace]] = field(default_factory=lambda: deque(maxlen=RUNS))
    current: RecordedRun | None = None
    problem: str = ""

    def __deepcopy__(self, memo: dict[int, object]) -> "Recording":
        return self

    def patch(self, model: DiffusionModel) -> DiffusionModel:
        """A copy of the model that is listened to; what it makes stays the same."""
        from comfy.patcher_extension import WrappersMP

        patched = model.clone()
        patched.set_model_sampler_post_cfg_function(Listener(self))
        patched.add_wrapper(WrappersMP.OUTER_SAMPLE, self.around_run)
        patched.add_wrapper(WrappersMP.PREDICT_NOISE, self.around_evaluation)
        return patched

    def around_run(self, executor: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Wraps `CFGGuider.outer_sample(noise, latent_image, sampler, sigmas, ...)`."""
        sigmas = kwargs["sigmas"] if "sigmas" in kwargs else args[3]
        run = self.current = RecordedRun(tuple(sigmas[:-1].tolist()))
        try:
            made = executor(*args, **kwargs)
        finally:
            self.current = None
        self.problem = run.problem
        if run.recorder is not None and run.recorder.maps:
            trace = run.recorder.finish()
            self.runs.append((fingerprint(made), image_trace(trace, made)))
        return made

    def around_evaluation(
        self,
        executor: Callable[..., Tensor],
        x: Tensor,
        timestep: Tensor,
        *more: object,
        **kw: object,
    ) -> Tensor:
        """Wraps `CFGGuider.predict_noise`."""
        run = self.current
        if run is None:
            return executor(x, timestep, *more, **kw)
        run.begin(x, timestep)
        guided = executor(x, timestep, *more, **kw)
        run.end(guided)
        return guided

    def of(self, latents: Tensor) -> ImageTrace:
        """What was recorded while these latents were made.

        Raises:
            ValueError: they are of no run that was listened to.
        """
        content = fingerprint(latents)
        found = next((trace for made, trace in reversed(self.runs) if made == content), None)
        if found is not None:
            return found
        reason = "these latents are of no run that it recorded"
        if not self.runs:
            reason = "no run with guidance has been recorded (at cfg 1 without AR Diffusion: IGG there is none)"
        if self.problem:
            reason = self.problem
        raise ValueError(
            f"nothing was recorded: {reason}. Connect the MODEL of AR Diffusion: Record to the sampler, and the sampler's own"
            " LATENT output, with nothing in between, to AR Diffusion: Trace"
        )


@dataclass(frozen=True)
class Listener:
    """The post-CFG hook of a recording; it changes nothing."""

    recording: Recording

    def __call__(self, args: PostCFGArguments) -> Tensor:
        if self.recording.current is not None:
            self.recording.current.listen(args)
        return args["denoised"]


def recorder_of(args: PostCFGArguments, number: int) -> tuple[Recorder, int]:
    """Who listens to the evaluation that a post-CFG hook is called in, and its step; `number`: of the node among its kind."""
    for hook in args["model_options"].get("sampler_post_cfg_function", []):
        run = hook.recording.current if isinstance(hook, Listener) else None
        if run is not None and run.recorder is not None and run.index is not None:
            return Numbered(run.recorder, {"igg": number}), run.index
    return NULL_RECORDER, 0


def image_trace(trace: Trace, latents: Tensor) -> ImageTrace:
    """A trace of latents, whose image is not known yet."""
    names = tuple(name.removesuffix(" scale") for name in trace.numbers if name.endswith(" scale"))
    height, width = latents.shape[-2:] if latents.ndim > 3 else (1, latents.shape[-1])
    return ImageTrace(trace, height, width, None, names)
