"""What a recorded run measures like: evenness, divergence and entropy of every image at every step.

"raw" measures the whole term gamma_k D that was added to the unconditional branch: what Eq. 3 and 4 of the IGG paper are
written for. "scaled" measures the directions D_i, what a guidance pushes towards before its scale gamma_k multiplies it;
the metrics of several guidances are averaged.

Evenness and divergence look at a distribution over the tokens (`metrics.distribution`): by default a softmax, which gamma
sharpens; shares of norm, the other reading, are the same for gamma D as for D as long as gamma is the same for all tokens of a step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from ..guidance.record import Trace
from .metrics import background_picks, divergence, evenness, weighted_mean

SOFTMAX, SHARE = "softmax", "share of norm"  # how norms become a distribution over tokens
DIRECTION = " direction"  # what the names of the maps of D_i end with
SCALE = " scale"  # what the names of their gamma_k end with
Row = tuple[float | None, ...]  # one number per step

UNSEEN = (
    "the marked subject is too small or too large to be told from the background on the model's token grids:"
    " mark more of it, or less"
)


@dataclass(frozen=True)
class Measured:
    """Metrics of a run: per image, per step, a number or None where nothing was added or nothing can be told.

    Attributes:
        tokens: tokens of every step, the weights of the means.
        evenness, divergence: 0-1; divergence is () when no subject was marked.
        entropy: of the guided prediction / ln V, mean over tokens.
        strength: mean L2 norm of what was measured.
        conditional, nudge: entropies as `entropy`, of the conditional prediction and of softmax(c - u), of some of the tokens
            (SoftCFG, Fig. 3 and 7); () where none was recorded.
        whole: of a token-by-token run, whose steps here are rows of tokens: the same of the image as one step, which
            is what the means are then.
    """

    tokens: tuple[int, ...]
    evenness: tuple[Row, ...]
    divergence: tuple[Row, ...]
    entropy: tuple[Row, ...]
    strength: tuple[Row, ...]
    whole: "Measured | None" = None
    conditional: tuple[Row, ...] = ()
    nudge: tuple[Row, ...] = ()

    def of_image(self, name: str, image: int) -> float | None:
        """Mean of a metric over the steps of one image, weighted by tokens, first step left out; or of `whole`."""
        if self.whole is not None:
            return self.whole._rows(name)[image][0]
        steps = [
            None if value is None else torch.tensor(value) for value in self._rows(name)[image]
        ]
        mean = weighted_mean(steps, self.tokens)
        return None if mean is None else mean.item()

    def mean(self, name: str) -> float | None:
        """Mean over images of `of_image`; None if there is none."""
        images = [self.of_image(name, image) for image in range(len(self._rows(name)))]
        return average(images)

    def per_step(self, name: str) -> Row:
        """Mean over images at every step."""
        return tuple(average(column) for column in zip(*self._rows(name), strict=True))

    def _rows(self, name: str) -> tuple[Row, ...]:
        return getattr(self, name)


def average(values: Sequence[float | None]) -> float | None:
    """Mean of the numbers there are."""
    kept = [value for value in values if value is not None]
    return sum(kept) / len(kept) if kept else None


def measure(
    trace: Trace,
    scaled: bool = True,
    subject: Tensor | None = None,
    seed: int = 0,
    spread: str = SOFTMAX,
) -> Measured:
    """All metrics of a run.

    Args:
        trace: what was recorded.
        scaled: measure the directions (divided by gamma) instead of what was added.
        subject: True where the subject is, (1 or B, H, W) at any resolution; without it there is no divergence.
        seed: of the resampling in the divergence.
        spread: `SOFTMAX` or `SHARE`.
    """
    per_step = [magnitudes(trace, step, scaled) for step in range(len(trace.grids))]
    diverging, whole = (), None
    if trace.image_grid is not None:
        whole = measure(trace.whole(), scaled, subject, seed, spread)
    vocabulary = vocabulary_of(trace, spread)
    if subject is not None:
        columns = [
            _divergence(maps, background.expand(trace.batch, -1), seed, vocabulary)
            for maps, background in zip(per_step, backgrounds(trace, subject), strict=True)
        ]
        diverging = _by_image(columns, trace.batch)
    recorded = trace.maps.get("entropy", [None] * len(trace.grids))  # diffusion predicts no tokens
    entropies = [None if m is None else [m.float()] for m in recorded]
    return Measured(
        tokens=tuple(h * w for h, w in trace.grids),
        evenness=_rows(per_step, partial(evenness, vocabulary=vocabulary), trace.batch),
        divergence=diverging,
        entropy=_rows(entropies, lambda flat: flat.mean(-1), trace.batch),
        strength=_rows(per_step, lambda flat: flat.mean(-1), trace.batch),
        whole=whole,
        conditional=_sampled(trace, "conditional entropy"),
        nudge=_sampled(trace, "nudge entropy"),
    )


def _sampled(trace: Trace, name: str) -> tuple[Row, ...]:
    """Numbers that were found from some tokens, by image; () if there are none."""
    steps = trace.samples.get(name)
    if steps is None:
        return ()
    missing = [None] * trace.batch
    return _by_image([missing if s is None else s.tolist() for s in steps], trace.batch)


def vocabulary_of(trace: Trace, spread: str) -> int | None:
    """What `metrics.distribution` is to divide by: V for the softmax; None for shares of norm.

    A trace that does not say V, because no guidance was applied or it was put together by hand, has shares.
    """
    if spread not in (SOFTMAX, SHARE):
        raise ValueError(f"there is no distribution '{spread}'; choose '{SOFTMAX}' or '{SHARE}'")
    return trace.vocabulary or None if spread == SOFTMAX else None


def divided(measured: Measured, scales: Sequence[float | None]) -> Measured:
    """Evenness and divergence of every step divided by its gamma_k: one reading of "scaled" in section 6.3 of the paper.

    Args:
        measured: of a run.
        scales: gamma_k of its steps, see `scales_of`; None where no guidance acted.

    Raises:
        ValueError: a scale that nothing can be divided by.
    """
    if any(scale is not None and scale <= 0 for scale in scales):
        raise ValueError(
            "scores cannot be divided by a scale of 0 or less: search above 0, or compare them as they are"
        )

    def rows(name: str) -> tuple[Row, ...]:
        return tuple(
            tuple(
                None if v is None or g is None else v / g for v, g in zip(row, scales, strict=True)
            )
            for row in getattr(measured, name)
        )

    whole = measured.whole and divided(measured.whole, [average(scales)])
    return replace(measured, evenness=rows("evenness"), divergence=rows("divergence"), whole=whole)


def scales_of(trace: Trace) -> list[float | None]:
    """gamma_k of every step, all combining guidances together; None where none acted."""
    noted = [row for name, row in trace.numbers.items() if name.endswith(SCALE)]
    per_step = [[g for row in noted if (g := row[k]) is not None] for k in range(len(trace.grids))]
    return [sum(scales) if scales else None for scales in per_step]


def magnitudes(trace: Trace, step: int, scaled: bool) -> list[Tensor] | None:
    """The maps (B, h, w) to measure at a step; None where nothing was added.

    A step on which no combining guidance acted has no direction: there "scaled" falls back to what was added, which for a
    lone refining guidance is the same up to a factor.
    """
    added = trace.maps.get("added", [None] * len(trace.grids))[step]
    if added is None or not added.any():
        return None
    names = [name for name in trace.maps if name.endswith(DIRECTION)] if scaled else []
    directions = [m for name in names if (m := trace.maps[name][step]) is not None]
    return [m.float() for m in directions or [added]]


def background_of(subject: Tensor, grid: tuple[int, int]) -> Tensor:
    """Tokens (M, N) of a grid less than half covered by the subject (M, H, W)."""
    return F.adaptive_avg_pool2d(subject[:, None].float(), grid).flatten(1) < 0.5


def backgrounds(trace: Trace, subject: Tensor) -> list[Tensor]:
    """Tokens (M, N) of every step that are background."""
    if trace.image_grid is not None:
        return list(background_of(subject, trace.image_grid).split(trace.image_grid[1], dim=1))
    return [background_of(subject, grid) for grid in trace.grids]


def check_subject(subject: Tensor) -> None:
    """Raise ValueError when a mask marks nothing or everything."""
    for image in subject:
        background_picks(~image, seed=0)


def _divergence(
    maps: list[Tensor] | None, background: Tensor, seed: int, vocabulary: int | None
) -> list[float | None]:
    """Divergence of every image at a step, of background tokens (B, N); None where an image shows only one of both."""
    if maps is None:
        return [None] * len(background)
    values: list[float | None] = []
    for image, positions in enumerate(background):
        if positions.all() or not positions.any():
            values.append(None)
            continue
        picks = background_picks(positions, seed)
        values.append(
            average([divergence(m[image].flatten(), picks, vocabulary).item() for m in maps])
        )
    return values


def _rows(
    steps: Sequence[list[Tensor] | None], metric: Callable[[Tensor], Tensor], batch: int
) -> tuple[Row, ...]:
    """A metric of flat maps (B, N) -> (B,), averaged over the maps of each step, by image."""
    columns = [
        None if maps is None else torch.stack([metric(m.flatten(1)) for m in maps]).mean(0).tolist()
        for maps in steps
    ]
    return _by_image([column or [None] * batch for column in columns], batch)


def _by_image(columns: Sequence[Sequence[float | None]], batch: int) -> tuple[Row, ...]:
    return tuple(tuple(column[image] for column in columns) for image in range(batch))
