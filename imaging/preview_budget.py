"""What may be spent on showing a run while it is under way: a share of the time the run has taken.

A preview is a decoded image, and a live map is copied off the device: both come out of one purse. What a preview costs
is known from the last one, or from the last time the same decoder was used; before that, a first one is taken
to cost `UNKNOWN` seconds, so it is not made before the run has lasted long enough to carry that.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

ALONE = 0.05  # of the time a run has taken, for previews and live maps together
BESIDE_VIEWER = 0.03  # the rest is for what the viewer keeps and sends
UNKNOWN = 0.05  # seconds

_per_pixel: "WeakKeyDictionary[object, float]" = WeakKeyDictionary()  # decoder -> seconds


class Budget:
    """Time spent against time passed since the first step."""

    def __init__(
        self, share: float, expected: float = UNKNOWN, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.share = share
        self.expected = expected  # seconds the next preview is likely to take
        self.clock = clock
        self.started: float | None = None
        self.spent = 0.0

    def start(self) -> None:
        """The run makes its first step; loading the model before it does not count as time passed."""
        if self.started is None:
            self.started = self.clock()

    def affords_preview(self) -> bool:
        """Whether one more preview would keep to the share."""
        if self.started is None:
            return False
        return self.spent + self.expected <= self.share * (self.clock() - self.started)

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Count the time of what is done inside."""
        before = self.clock()
        yield
        self.spent += self.clock() - before

    @contextmanager
    def previewing(self) -> Iterator[None]:
        """Count the time of a preview, and expect the next one to take as long."""
        before = self.spent
        with self.spending():
            yield
        self.expected = self.spent - before


def remember(decoder: object, seconds: float, pixels: int) -> None:
    """Note that this decoder took so long for images of so many pixels in all."""
    _per_pixel[decoder] = seconds / pixels


def expected_seconds(decoder: object, pixels: int) -> float:
    """How long the decoder is likely to take for an image of so many pixels."""
    known = _per_pixel.get(decoder)
    return UNKNOWN if known is None else known * pixels
