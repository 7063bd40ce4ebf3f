"""Parallel decoding: how many tokens of a token-wise model the next pass guesses at, and what it guesses.

A pass reads a window of guessed tokens. Every token up to the first that differs from its redraw stays, and the redraws
are the next guesses: Jacobi iteration, as in speculative Jacobi decoding (arXiv 2410.01699). As a position's noise does
not change (`noise.py`), its fixed point is the very sequence that plain decoding draws. Tokens that an edit keeps are
guesses that are always right.
"""

import math
import os
import time
from collections import deque
from collections.abc import Sequence
from itertools import accumulate, pairwise

from torch import Tensor

WIDTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
# The first passes: what a width costs is not known before it has been tried, and wide passes rarely pay for a batch.
WARM_UP, BATCH_WARM_UP = (16, 16, 1, 4, 1), (2, 1, 2, 1)
# Passes after which a neighbour of the best width is tried again.
LOOK_AROUND, BATCH_LOOK_AROUND = 12, 48
CLOSE = 0.9  # share of the best width's speed that makes a neighbour worth it
THINK = 4  # passes after which the best width is found again
MEMORY = 8  # timings of a width that count
PASSES = 24  # whose settled tokens count
GROWTH = 0.45  # exponent of the tokens that a pass settles for one image, in its width; before anything is known
BELIEVED = 6  # passes, as wide as the widest of the first ones, that this counts as
SLOWEST = -0.2  # exponent of the batch in it: images wait for the slowest of them
MOST = 128  # positions of a pass, kept tokens among them
LOGITS = 1 << 27  # bytes
FINE = 1e-4  # seconds: a clock that tells shorter times apart can time a pass
# Windows counts a thread's own time in ticks of 16 ms, whatever it says of them.
OWN_TIME = os.name != "nt" and time.get_clock_info("thread_time").resolution < FINE
SHORTEST = 1e-7  # seconds that a pass takes at least, whatever a coarse clock says


def widest_pass(vocab: int, batch: int) -> int:
    """Most tokens that a pass may draw for each of `batch` images, so that its logits of both branches fit into `LOGITS`."""
    return max(1, min(WIDTHS[-1], LOGITS // (2 * 4 * vocab * batch)))


def stopwatch() -> float:
    """Seconds of this thread's own work, which others on the machine do not lengthen; where those are coarse, of the clock."""
    return time.thread_time() if OWN_TIME else time.perf_counter()


class Window:
    """Chooses how many positions a pass predicts, by what the passes before have cost and how many tokens they settled.

    Args:
        free: of every position, whether its token is drawn (some image does not keep it).
        widest: most drawn positions of a pass; 1 = plain decoding.
        one_by_one: kept tokens are read one at a time, too: a guidance looks at every token before the next.
        batch: images.
    """

    def __init__(
        self, free: Sequence[bool], widest: int = 1, one_by_one: bool = False, batch: int = 1
    ) -> None:
        self.free, self.one_by_one = list(free), one_by_one
        self.drawn_before = list(accumulate(self.free, initial=0))
        self.places = [position for position, drawn in enumerate(self.free) if drawn]
        self.widths = [width for width in WIDTHS if width <= widest]
        self.seconds: dict[int, deque[float]] = {}
        self.settled: deque[tuple[int, int]] = deque(maxlen=PASSES)  # of passes: width, tokens
        self.growth = GROWTH * batch**SLOWEST
        self.warm_up = WARM_UP if batch == 1 else BATCH_WARM_UP
        self.look_around = LOOK_AROUND if batch == 1 else BATCH_LOOK_AROUND
        first = max(self.warm_up)
        self.believed = [(first, first**self.growth)] * BELIEVED
        self.best = self.other = self.widths[-1]
        self.passes = 0

    def end(self, known: int) -> int:
        """One past the last position that the pass predicts which follows `known` settled tokens."""
        if self.one_by_one:
            return known + 1
        drawn = self.drawn_before[known] + self._width()
        end = self.places[drawn - 1] + 1 if drawn <= len(self.places) else len(self.free)
        return min(end, known + MOST)

    def note(self, known: int, end: int, settled: int, seconds: float) -> None:
        """A pass over the positions `known` .. `end` - 1 has settled so many tokens in so much time."""
        self.passes += 1
        if len(self.widths) == 1 or self.one_by_one:
            return
        width = self.drawn_before[end] - self.drawn_before[known]
        right = self.drawn_before[known + settled] - self.drawn_before[known]
        if width == end - known and self.passes > 1:  # others read the prefix, or kept tokens
            self.seconds.setdefault(width, deque(maxlen=MEMORY)).append(max(seconds, SHORTEST))
        if width > 1:
            self.settled.append((width, right))
            self.growth = growth([*self.settled, *self.believed])
        if self.passes % THINK == 0:
            self._choose()

    def _width(self) -> int:
        """Drawn positions of the next pass."""
        if len(self.widths) == 1:
            return 1
        if self.passes < len(self.warm_up):
            return min(self.warm_up[self.passes], self.widths[-1])
        return self.other if self.passes % self.look_around == 0 else self.best

    def _choose(self) -> None:
        """Find the width that settles most tokens a second, and a neighbour that may do better than it is thought to.

        A width's seconds are its fastest: others were held up by something else on the machine. Between widths that were
        timed, the line between them.
        """
        times = sorted((width, min(seconds)) for width, seconds in self.seconds.items())
        speeds = {width: width**self.growth / between(times, width) for width in self.widths}
        self.best = max(self.widths, key=speeds.__getitem__)
        place = self.widths.index(self.best)
        near = self.widths[max(place - 1, 0) : place + 2]
        self.other = min(near, key=lambda width: (width == self.best, self.passes_of(width)))
        if speeds[self.other] < CLOSE * speeds[self.best]:
            self.other = self.best

    def passes_of(self, width: int) -> int:
        """Timings of a width that are remembered."""
        return len(self.seconds.get(width, ()))


def between(times: Sequence[tuple[int, float]], width: int) -> float:
    """Seconds of a width, from those of some widths in ascending order: on the line through the nearest two."""
    if not times:
        return 1.0
    if len(times) == 1:
        return times[0][1]
    pairs = pairwise(times)
    (lower, fast), (upper, slow) = next((p for p in pairs if width <= p[1][0]), times[-2:])
    return fast + max(slow - fast, 0.0) * max((width - lower) / (upper - lower), 0.0)


def growth(passes: Sequence[tuple[int, float]]) -> float:
    """The exponent e in 0-1 with which (mean width)^e is the mean of the tokens settled, over passes of (width, tokens)."""
    settled, widths = sum(tokens for _, tokens in passes), sum(width for width, _ in passes)
    return min(max(math.log(settled / len(passes)) / math.log(widths / len(passes)), 0.0), 1.0)


def guess(tokens: Tensor, start: int, end: int, row: int) -> None:
    """First guesses, written into tokens (B, T), at positions that were never drawn: the token above, else the one before.

    `row`: tokens of a row of the image; 0 = there are none.
    """
    while start < end:
        back = row if 0 < row <= start else 1
        stop = min(end, start + back)
        if start:
            tokens[:, start:stop] = tokens[:, start - back : stop - back]
        start = stop


def agreeing(drawn: Tensor, guessed: Tensor) -> int:
    """How many tokens (B, n) of a pass are settled: those drawn after right guesses only, in every image."""
    if drawn.shape[1] == 1:
        return 1
    right = (drawn[:, :-1] == guessed[:, :-1]).all(0)
    return 1 + int(right.long().cumprod(0).sum())
