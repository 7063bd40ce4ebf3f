"""Finding a scale by running the sampling at several: the search of `analysis.crossing` over real runs."""

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from ...analysis.crossing import Crossing, Probe, search
from ...analysis.measure import UNSEEN, Measured, measure
from ...guidance.combining import Combining
from ...guidance.record import join_traces
from ...imaging.subject import subject_from_border
from ..types import Sampling
from .batches import parts_of
from .run import Reporter, decode, describe, sample, to_image

CHEAPER = 4  # the first pass makes this many times fewer pictures
OFF_NEUTRAL = (
    0.01  # a scale that switches guidance off cannot be measured: take one this much higher
)


@dataclass(frozen=True)
class ScaleSearch:
    """A search that has not happened.

    Attributes:
        sampling: what is run; its last combining link's scale is varied.
        low, high: range of scales.
        probes: runs of each of the two passes.
        pictures: pictures of each class and run.
        own_ranges: see `search`.
        subject: True where the subject is, (1 or B, H, W); None: told from each picture's border.
    """

    sampling: Sampling
    low: float
    high: float
    probes: int
    pictures: int
    own_ranges: bool
    subject: Tensor | None

    def check(self) -> None:
        """Raise ValueError for whatever can be known before anything is computed."""
        if not self.low < self.high:
            raise ValueError(
                f"min_scale ({self.low:g}) must be smaller than max_scale ({self.high:g})"
            )
        if self.probes < 4 or self.pictures < 1:
            raise ValueError("a search needs at least 4 probes of at least 1 picture")
        for scale in (self.low, self.high):
            acting(self.sampling, scale)

    def run(self) -> Crossing:
        """A cheap pass with fewer pictures finds the neighbourhood, a second one with all pictures the place."""
        self.check()
        few = self.pictures // CHEAPER
        passes = (few, self.pictures) if few else (self.pictures,)
        parts = sum(len(parts_of(self._batch(pictures))) for pictures in passes)
        report = Reporter(self.sampling, self.probes * parts)
        hints: tuple[float, ...] = ()
        if few:
            rough = self._pass(few, report, hints)
            hints = (rough.low, rough.high) if rough.crosses else ()
        return self._pass(self.pictures, report, hints)

    def _pass(self, pictures: int, report: Reporter, hints: tuple[float, ...]) -> Crossing:
        return search(
            lambda scale: self._probe(scale, pictures, report),
            self.low,
            self.high,
            self.probes,
            self.own_ranges,
            hints,
        )

    def _batch(self, pictures: int) -> Sampling:
        """The sampling with so many pictures of every class."""
        return dataclasses.replace(self.sampling, copies=pictures, seeds=(), rerolled=(), only=None)

    def _probe(self, scale: float, pictures: int, report: Reporter) -> Probe:
        """One run at one scale, a large batch in parts: same seeds, whatever the scale."""
        traces, subjects = [], []
        for part in parts_of(acting(self._batch(pictures), scale)):
            made, trace = sample(part, describe(part), report)
            traces.append(trace)
            if self.subject is None:
                image = to_image(decode(part.model, made.features))
                subjects.append(subject_from_border(image))
        subject = torch.cat(subjects) if subjects else self._subject(pictures)
        measured = measure(join_traces(traces), subject=subject)
        even, diverging = measured.mean("evenness"), measured.mean("divergence")
        if even is None:
            raise ValueError(
                "the guidance changes nothing here, so no scale is better than another: with 'no class' both"
                " predictions are the same. Choose a class"
            )
        if diverging is None:
            raise ValueError(UNSEEN)
        return Probe(scale, even, diverging, single_pictures(measured))

    def _subject(self, pictures: int) -> Tensor | None:
        """The masks of the first pictures of every class."""
        if self.subject is None or len(self.subject) == 1:
            return self.subject
        return self.subject.unflatten(0, (-1, self.pictures))[:, :pictures].flatten(0, 1)


def single_pictures(measured: Measured) -> tuple[tuple[float, float] | None, ...]:
    """Evenness and divergence of every picture; None where one of them cannot be told."""
    rows = []
    for picture in range(len(measured.evenness)):
        even, diverging = (measured.of_picture(n, picture) for n in ("evenness", "divergence"))
        rows.append(None if even is None or diverging is None else (even, diverging))
    return tuple(rows)


def place_of_scale(sampling: Sampling) -> int:
    """Place of the link whose scale is varied: the last combining one.

    Raises:
        ValueError: there is none, or its scale has no say.
    """
    places = [k for k, link in enumerate(sampling.links) if isinstance(link, Combining)]
    if not places:
        raise ValueError(
            "there is no guidance scale to find: connect a CFG, IGG, mix or SoftCFG node between AR Sampler and AR Find Scale"
        )
    link = sampling.links[places[-1]]
    if getattr(link, "schedule", "") == "list":
        raise ValueError(
            f"the last guidance ({link.name}) takes its scale of every step from a list, so there is no one scale to"
            " find: choose another schedule"
        )
    return places[-1]


def with_scale(sampling: Sampling, scale: float) -> Sampling:
    """The sampling with another scale in its last combining link."""
    place = place_of_scale(sampling)
    links = list(sampling.links)
    links[place] = dataclasses.replace(links[place], scale=scale)  # type: ignore[call-arg]
    return dataclasses.replace(sampling, links=tuple(links))


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
