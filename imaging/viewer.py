"""What the viewer on AR Decode shows: images so far, maps, curves, candidates, as JSON that a browser can draw.

Nothing here is needed for the image, and the node works the same where the web part is absent. The payload (see
`docs/viewer.md`) stays small: the first images only, maps as bytes, scales as coloured feature maps.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from ..analysis.measure import measure
from ..guidance.base import Grid, RunInfo
from ..guidance.record import Trace, TraceRecorder
from ..sampling.loops import AnyProgress
from ..sampling.preview import colour, fit_colours
from .data_urls import data_urls
from .filmstrip import Maker, filmstrip

OFF, FAST, DECODED = "off", "fast", "decoded"
CHOICES = (FAST, DECODED, OFF)
IMAGES = 4  # of a batch, at most
SIDE, FRAME_SIDE = 1024, 256  # of the finished image and of those on the way, at most
TOP = 5  # candidates per token
LIVE_MAPS = ("added", "nudge", "confidence")  # the first that was recorded is shown while running

Json = dict[str, object]
Send = Callable[[Json], None]
Decode = Callable[[Tensor], Tensor]  # features (B, Z, h, w) -> IMAGE (B, H, W, 3)


@dataclass
class Viewer:
    """Watches a run for the viewer. Its cost is a copy of a small feature map per step.

    Attributes:
        recorder: of the run.
        features: progress -> feature maps (B, Z, h, w) so far; None, or what gives None, where images grow row by row.
        decode: how to decode for the exact, expensive images; None = colours only.
        candidates: keep the likeliest tokens before and after guidance.
        send: where the live map goes; None = nowhere.
        lookup: tokens (n,) -> their codes (n, Z), for the colours of candidates.
        codes: how many tokens have a code; 0 = no colours.
        bits: candidates were asked for, but the tokens of this model are bits and have none.
    """

    recorder: TraceRecorder
    features: Callable[[AnyProgress], Tensor | None] | None
    decode: Decode | None = None
    candidates: bool = False
    send: Send | None = None
    lookup: Callable[[Tensor], Tensor] | None = None
    codes: int = 0
    bits: bool = False
    steps: list[Tensor] = field(default_factory=list)
    tops: list[tuple[Tensor, ...]] = field(default_factory=list)

    def __call__(self, progress: AnyProgress) -> None:
        """Called after every step."""
        features = self.features and self.features(progress)
        if features is not None:
            self.steps.append(features[:IMAGES].half())
        if not self.candidates:
            return
        if progress.tokens.ndim == 3:  # of bits: 2^D tokens are no list to choose from
            self.bits = True
        else:
            self.tops.append(likeliest(progress))

    def live(self, progress: AnyProgress) -> None:
        """Send the newest map of the first image."""
        if self.send is None:
            return
        self.recorder.measure_waiting()
        k, maps = progress.index, self.recorder.maps
        name = next((n for n in LIVE_MAPS if n in maps and maps[n][k] is not None), None)
        if name is not None:
            values, grid = self._newest(maps[name], k)
            shown = packed(values[None].float().cpu().numpy(), [len(values)])[0][0]
            place: Json = {"step": k, "count": progress.count, "grid": list(grid), "map": name}
            self.send(place | shown)

    def _newest(self, rows: Sequence[Tensor | None], step: int) -> tuple[Tensor, Grid]:
        """The first image's map at this step: of a next-token run the tokens so far, 0 where there are none."""
        image_grid, newest = self.recorder.image_grid, rows[step]
        assert newest is not None
        if image_grid is None:
            return newest[0], self.recorder.grids[step]
        count = image_grid[0] * image_grid[1]
        blank = torch.zeros_like(newest[0])
        return torch.cat([blank if row is None else row[0] for row in rows[-count:]]), image_grid

    def payload(
        self, image: Tensor, final: Tensor, trace: Trace, makers: Sequence[Maker] = ()
    ) -> Json:
        """Everything the viewer needs: images (B, H, W, 3), what they were decoded from (B, Z, h, w), the trace, who made them."""
        shown, whole = min(len(image), IMAGES), trace.whole()
        tiny = "bmp" if self.decode is None else "png"  # many decoded images: short before fast
        frames = self._frames(image[:shown], final[:shown], tiny)
        finals = data_urls(image[:shown], SIDE, tiny)
        measured = measure(trace, scaled=False)
        candidates = self._candidates(trace) or [[]] * shown
        maps = {name: step_maps(rows, shown) for name, rows in whole.maps.items()}
        images = [
            {
                "final": finals[k],
                "frames": [step[k] for step in frames],
                "maps": {name: [step[k] for step in steps] for name, steps in maps.items()},
                "evenness": rounded(measured.evenness[k]),
                "entropy": rounded(measured.entropy[k]),
                "candidates": candidates[k],
            }
            for k in range(shown)
        ]
        numbers = {name: rounded(values) for name, values in trace.numbers.items()}
        return {
            "version": 1,
            "size": [image.shape[2], image.shape[1]],
            "batch": len(image),
            "grids": [list(grid) for grid in whole.grids],
            "rows": trace.image_grid is not None,
            "numbers": numbers,
            "bits": self.bits,
            "pictures": images,
            "strip": filmstrip(image, makers),
            "colours": self._colours(image[:shown], final[:shown]),
        }

    def _colours(self, image: Tensor, final: Tensor) -> dict[str, list[float]]:
        """Token -> what its code adds to the colour (r, g, b) of its place, for every candidate."""
        if not self.tops or self.lookup is None:
            return {}
        listed = [top[at].flatten() for top in self.tops for at in (0, 1, 3)]
        tokens = torch.cat(listed).unique()
        tokens = tokens[tokens < self.codes]
        codes = self.lookup(tokens).float().cpu()
        added = codes @ fit_colours(final, image)[:-1]
        names = [str(token) for token in tokens.tolist()]
        return dict(zip(names, added.mul(1e4).round().div(1e4).tolist(), strict=True))

    def _frames(self, image: Tensor, final: Tensor, tiny: str) -> list[list[str]]:
        """Per step, data URLs of the images so far; none where the images grow row by row."""
        if not self.steps:
            return []
        if self.decode is not None:
            return [data_urls(self.decode(step.float()), FRAME_SIDE, tiny) for step in self.steps]
        small = colour(torch.cat(self.steps), fit_colours(final, image))
        urls = data_urls(small, FRAME_SIDE, tiny)
        return [urls[start : start + len(image)] for start in range(0, len(urls), len(image))]

    def _candidates(self, trace: Trace) -> list[list[Json]]:
        """Per image and step: drawn tokens, and the likeliest before and after guidance with their probabilities in per mille."""
        tops = self.tops
        if trace.image_grid is not None:  # tokens before the image's have no place in it
            tops = tops[-trace.image_grid[0] * trace.image_grid[1] :]
        if not tops:
            return []
        drawn, before, p, after, q = (
            torch.cat(parts, dim=1).cpu() for parts in zip(*tops, strict=True)
        )
        listed = (drawn.tolist(), before.tolist(), per_mille(p), after.tolist(), per_mille(q))
        ends = list(accumulate(top[0].shape[1] for top in tops))
        steps = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
        return [
            [
                {
                    "drawn": d[step],
                    "before": {"tokens": b[step], "share": p[step]},
                    "after": {"tokens": a[step], "share": q[step]},
                }
                for step in steps
            ]
            for d, b, p, a, q in zip(*listed, strict=True)
        ]


def published_schedule(run: RunInfo) -> Json:
    """Steps of a run, and what "family default" means in it: for the schedules drawn on the guidance nodes."""
    own = run.published
    names = ("kind", "start", "end", "power", "line")
    return {"steps": run.count, "published": {name: getattr(own, name) for name in names}}


def likeliest(progress: AnyProgress) -> tuple[Tensor, ...]:
    """Drawn tokens (B, T); the `TOP` likeliest before guidance and their probabilities (B, T, TOP); the same after it."""
    newest = progress.tokens[:IMAGES, -progress.cond.shape[1] :]
    count = min(TOP, progress.cond.shape[-1])
    before = progress.cond[:IMAGES].softmax(-1).topk(count)
    after = progress.guided[:IMAGES].softmax(-1).topk(count)
    return newest, before.indices, before.values, after.indices, after.values


def per_mille(shares: Tensor) -> list[list[list[int]]]:
    """Probabilities as whole thousandths."""
    return (shares * 1000).round().int().tolist()


def step_maps(rows: Sequence[Tensor | None], count: int) -> list[list[Json | None]]:
    """Per step the maps of the first images; None where nothing was recorded or all is 0."""
    there = [row.flatten(1) for row in rows if row is not None]
    together = torch.cat(there, dim=1)[:count].numpy() if there else np.empty((count, 0))
    made = iter(packed(together, [step.shape[1] for step in there]))
    none: list[Json | None] = [None] * count
    return [none if row is None else [unless_zero(one) for one in next(made)] for row in rows]


def unless_zero(one: Json) -> Json | None:
    """What `packed` made of a map, or None if it is nothing but zeros."""
    return one if one["low"] or one["high"] else None


def packed(maps: np.ndarray, sizes: Sequence[int]) -> list[list[Json]]:
    """Maps (B, n) of several steps one after the other, of so many tokens each, as bytes: per step and image, each between its
    smallest and largest value.
    """
    if not sizes:
        return []
    starts = [0, *accumulate(sizes[:-1])]
    numbers = maps.astype("float32")
    low, high = (end.reduceat(numbers, starts, axis=1) for end in (np.minimum, np.maximum))
    factor = np.where(high > low, 255 / np.where(high > low, high - low, 1), 0)
    each = (numbers - low.repeat(sizes, axis=1)) * factor.repeat(sizes, axis=1)
    data = np.split(each.round().astype("uint8"), starts[1:], axis=1)
    return [
        [
            {"low": low, "high": high, "values": base64.b64encode(row.tobytes()).decode()}
            for low, high, row in zip(*one, strict=True)
        ]
        for one in zip(low.T.tolist(), high.T.tolist(), data, strict=True)
    ]


def rounded(values: Sequence[float | None]) -> list[float | None]:
    """Numbers short enough to send."""
    return [None if value is None else round(value, 4) for value in values]
