"""A run whose logits' spectra are looked at on the way; nothing but numbers is kept of them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...analysis.spectrum import Change, SpectrumWatch, check_scales
from ...sampling.loops import AnyProgress
from ..types import Sampling
from .batches import parts_of
from .decoding import as_image, decode
from .retry import chained
from .run import Reporter, describe, in_halves, sample


@dataclass(frozen=True)
class Spectra:
    """What was found.

    Attributes:
        changes: of every scale but the first, mean over the images.
        images: (B, H, W, 3) that the run made.
    """

    changes: tuple[Change, ...]
    images: Tensor


def run_spectra(sampling: Sampling) -> Spectra:
    """Make the images of a sampling, a large batch in parts.

    Raises:
        ValueError: the run has one scale only, or no guidance that changes a spectrum.
    """
    check_scales(describe(sampling).run)
    if all(guidance.combines for guidance in sampling.guidances):
        raise ValueError(
            "AR Guidance Spectrum shows what SSG changes in the spectrum of the predictions, but the chain before it has no"
            " SSG: add AR Guidance: SSG"
        )
    parts = parts_of(sampling)
    report = Reporter(sampling, len(parts))
    halves = in_halves(sampling, lambda part: [_part(part, report)], chained)
    made = chained([halves.run(part, report) for part in parts])
    found = [(changes, len(image)) for changes, image in made]
    return Spectra(_mean(found), torch.cat([image for _, image in made]))


def _part(sampling: Sampling, report: Reporter) -> tuple[list[Change], Tensor]:
    """Images that are made at once."""
    report.status.begin(sampling.batch)
    job = describe(sampling)
    watch = SpectrumWatch.of(sampling.guidances, job.run)

    def on_step(progress: AnyProgress) -> None:
        report(progress)
        watch(progress.index, progress.cond, progress.uncond, progress.guided)

    made, _ = sample(sampling, job, on_step)
    return watch.found, as_image(decode(sampling.model, made.features))


def _mean(found: list[tuple[list[Change], int]]) -> tuple[Change, ...]:
    """Mean over parts, weighted by their images."""
    total = sum(count for _, count in found)
    made = []
    for same in zip(*(changes for changes, _ in found), strict=True):
        rows = [torch.tensor(one.change) * n for one, (_, n) in zip(same, found, strict=True)]
        mean = tuple((torch.stack(rows).sum(0) / total).tolist())
        made.append(Change(same[0].grid, same[0].nyquist, mean))
    return tuple(made)
