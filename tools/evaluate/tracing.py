"""What a run's guidance does, sample by sample: evenness, divergence and entropy as AR Guidance Metrics measures them."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from ar_guidance.analysis.measure import Measured, measure
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.record import TraceRecorder
from ar_guidance.imaging.subject import subject_from_border
from ar_guidance.sampling.loops import LOOPS
from torch import Tensor

from ..bundled.course import of_step
from .edm2 import LoadedEDM2
from .models import AnyModel

METRICS = ("evenness", "divergence", "entropy")
COURSE = ("gap", "spread", "entropy of the prediction")  # what `of_step` measures, by row of tokens


@dataclass
class Tracing:
    """Listens to one pass.

    Attributes:
        image: (h, w) in tokens of a token-wise model's images; None where every step is a whole image.
        spread: how norms become a distribution over tokens.
    """

    image: tuple[int, int] | None
    spread: str
    steps: list[Tensor] = field(default_factory=list)
    recording: TraceRecorder | None = None

    @classmethod
    def of(cls, model: AnyModel, spread: str) -> "Tracing":
        """For a pass of this model."""
        if isinstance(model, LoadedEDM2):
            return cls(None, spread)
        return cls(LOOPS[model.family.kind].image_grid(model.config), spread)

    def recorder(self, run: RunInfo) -> TraceRecorder:
        """For the loop."""
        self.recording = TraceRecorder(run.grids, self.image)
        return self.recording

    def on_step(self, progress: Any) -> None:
        """Token-wise: the course of the guidance along the tokens."""
        if self.image is not None and progress.uncond is not None:
            self.steps.append(of_step(progress.cond, progress.uncond, progress.guided).cpu())

    def measured(self, images: Tensor) -> dict[str, np.ndarray]:
        """`trace.NAME` (B,), a metric of what was added in the whole run, and `steps.NAME` (B, K) at every step (of
        token-wise images at every row of tokens); NaN where nothing was added.

        The subject is what differs from the colour of the border: right for drawings on a plain ground.
        """
        assert self.recording is not None
        trace = self.recording.finish()
        if not trace.batch:
            return {}
        subject = subject_from_border(images.movedim(1, -1).cpu() / 2 + 0.5)
        found = measure(trace, scaled=False, subject=subject, spread=self.spread)
        rows = {f"steps.{name}": _by_step(found, name) for name in METRICS}
        for name in METRICS:
            means = [found.of_image(name, image) for image in range(len(images))]
            rows[f"trace.{name}"] = np.array(means, dtype=np.float32)
        if self.steps and self.image is not None:
            course = torch.stack(self.steps, 1)[:, -self.image[0] * self.image[1] :]
            by_row = course.unflatten(1, self.image).mean(2).numpy()
            rows |= {f"steps.{name}": by_row[..., i] for i, name in enumerate(COURSE)}
        return rows


def _by_step(found: Measured, name: str) -> np.ndarray:
    """A metric (B, K), NaN where there is none."""
    return np.array(getattr(found, name), dtype=np.float32)
