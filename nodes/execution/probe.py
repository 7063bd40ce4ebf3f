"""Finding a scale by running the sampling at several: the search of `analysis.crossing` over real runs."""

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from ...analysis.crossing import Crossing, Probe, search
from ...analysis.measure import UNSEEN, Measured, divided, measure, scales_of
from ...guidance.combining import Combining
from ...guidance.record import Trace, join_traces
from ...guidance.schedule import LIST
from ...imaging.subject import subject_from_border
from ...imaging.viewer import Send
from ..types import Sampling
from .batches import parts_of
from .decoding import as_image, decode
from .retry import chained
from .run import Reporter, describe, in_halves, sample

CHEAPER = 4  # the first pass makes this many times fewer images
OFF_NEUTRAL = (
    0.01  # a scale that switches guidance off cannot be measured: take one this much higher
)

Seen = tuple[Trace, Tensor | None]  # what some images recorded; where their subjects are, if told


@dataclass(frozen=True)
class ScaleSearch:
    """A search that has not happened.

    Attributes:
        sampling: what is run; its last combining link's scale is varied.
        low, high: range of scales.
        probes: runs of each of the two passes.
        images: images of each class and run.
        own_ranges: see `search`.
        by_scale: divide evenness and divergence of every step by its gamma before they are compared.
        status: where it is told which scale is tried, and what those before gave.
        subject: True where the subject is, (1 or B, H, W); None: told from each image's border.
    """

    sampling: Sampling
    low: float
    high: float
    probes: int
    images: int
    own_ranges: bool
    subject: Tensor | None
    by_scale: bool = False
    status: Send | None = None

    def check(self) -> None:
        """Raise ValueError for whatever can be known before anything is computed."""
        if not self.low < self.high:
            raise ValueError(
                f"min_scale ({self.low:g}) must be smaller than max_scale ({self.high:g})"
            )
        if self.probes < 4 or self.images < 1:
            raise ValueError("a search needs at least 4 probes of at least 1 image")
        for scale in (self.low, self.high):
            acting(self.sampling, scale)

    def run(self) -> Crossing:
        """A cheap pass with fewer images finds the neighbourhood, a second one with all images the place."""
        self.check()
        few = self.images // CHEAPER
        passes = (few, self.images) if few else (self.images,)
        parts = sum(len(parts_of(self._batch(images))) for images in passes)
        report = Reporter(self.sampling, self.probes * parts, status=self.status)
        hints: tuple[float, ...] = ()
        if few:
            rough = self._pass(few, report, hints)
            hints = (rough.low, rough.high) if rough.crosses else ()
        return self._pass(self.images, report, hints)

    def _pass(self, images: int, report: Reporter, hints: tuple[float, ...]) -> Crossing:
        tried: list[tuple[float, float, float]] = []  # scale, evenness, divergence

        def probe(scale: float) -> Probe:
            batch = images * self.sampling.conditioning.count
            report.status.restart(batch, scale=round(scale, 2), tried=tried[:])
            found = self._probe(scale, images, report)
            tried.append((found.scale, found.evenness, found.divergence))
            return found

        return search(
            probe,
            self.low,
            self.high,
            self.probes,
            self.own_ranges,
            hints,
        )

    def _batch(self, images: int) -> Sampling:
        """The sampling with so many images of every class."""
        return dataclasses.replace(self.sampling, copies=images, seeds=(), rerolled=(), only=None)

    def _probe(self, scale: float, images: int, report: Reporter) -> Probe:
        """One run at one scale, a large batch in parts: same seeds, whatever the scale."""
        whole = acting(self._batch(images), scale)
        halves = in_halves(whole, lambda part: self._part(part, report), chained)
        seen = chained([halves.run(part, report) for part in parts_of(whole)])
        subjects = [subject for _, subject in seen if subject is not None]
        subject = torch.cat(subjects) if subjects else self._subject(images)
        trace = join_traces([trace for trace, _ in seen])
        measured = measure(trace, scaled=False, subject=subject)
        if self.by_scale:
            measured = divided(measured, scales_of(trace))
        even, diverging = measured.mean("evenness"), measured.mean("divergence")
        if even is None:
            raise ValueError(
                "the guidance changes nothing here, so no scale is better than another: with 'no class' both"
                " predictions are the same. Choose a class"
            )
        if diverging is None:
            raise ValueError(UNSEEN)
        return Probe(scale, even, diverging, single_images(measured))

    def _part(self, part: Sampling, report: Reporter) -> list[Seen]:
        """Images that are made at once."""
        report.status.begin(part.batch)
        made, trace = sample(part, describe(part), report)
        if self.subject is not None:
            return [(trace, None)]
        return [(trace, subject_from_border(as_image(decode(part.model, made.features))))]

    def _subject(self, images: int) -> Tensor | None:
        """The masks of the first images of every class."""
        if self.subject is None or len(self.subject) == 1:
            return self.subject
        return self.subject.unflatten(0, (-1, self.images))[:, :images].flatten(0, 1)


def single_images(measured: Measured) -> tuple[tuple[float, float] | None, ...]:
    """Evenness and divergence of every image; None where one of them cannot be told."""
    rows = []
    for image in range(len(measured.evenness)):
        even, diverging = (measured.of_image(n, image) for n in ("evenness", "divergence"))
        rows.append(None if even is None or diverging is None else (even, diverging))
    return tuple(rows)


def place_of_scale(sampling: Sampling) -> int:
    """Place of the link whose scale is varied: the last combining one.

    Raises:
        ValueError: there is none, or its scale has no say.
    """
    places = [k for k, guidance in enumerate(sampling.guidances) if isinstance(guidance, Combining)]
    if not places:
        raise ValueError(
            "there is no guidance scale to find: connect a CFG, IGG, mix or SoftCFG node between AR Sampler and AR Find Scale"
        )
    guidance = sampling.guidances[places[-1]]
    if isinstance(guidance, Combining) and guidance.schedule == LIST:
        raise ValueError(
            f"the last guidance ({guidance.name}) takes its scale of every step from a list, so there is no one scale to"
            " find: choose another schedule"
        )
    return places[-1]


def with_scale(sampling: Sampling, scale: float) -> Sampling:
    """The sampling with another scale in its last combining link."""
    place = place_of_scale(sampling)
    guidances = list(sampling.guidances)
    guidances[place] = dataclasses.replace(guidances[place], scale=scale)  # type: ignore[call-arg]
    return dataclasses.replace(sampling, guidances=tuple(guidances))


def acting(sampling: Sampling, scale: float) -> Sampling:
    """`with_scale`, a hair higher where that scale would switch the guidance off.

    Raises:
        ValueError: a guidance that cannot act on the model, or that is off on every scale but the first.
    """
    for candidate in (scale, scale + OFF_NEUTRAL):
        changed = with_scale(sampling, candidate)
        job = describe(changed)
        if any(job.chain.combining(k, job.run) for k in range(1, job.run.count)):
            return changed
    raise ValueError(
        "the guidance is off on every scale of the model but the first, so there is nothing to measure: widen its"
        " start and end"
    )
