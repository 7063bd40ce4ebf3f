"""How far a run is, in numbers a browser puts into words: which images, which step, how many seconds are left."""

import time
from collections.abc import Callable, Sequence

from ...models.parts.grid import Grid

EVERY = 0.5  # seconds between two messages, at least; a run shorter than that sends none
Send = Callable[[dict[str, object]], None]


class Status:
    """Tells how far a run in several parts is, now and then.

    Attributes:
        extra: what is told besides, for example the scale that a search tries.
    """

    def __init__(
        self,
        grids: Sequence[Grid],
        parts: int,
        batch: int,
        send: Send | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tokens = [h * w for h, w in grids]  # a step takes about as long as it has tokens
        self.work = parts * sum(self.tokens)
        self.batch, self.send, self.clock = batch, send, clock
        self.extra: dict[str, object] = {}
        self.first = self.last = 0
        self.done = 0  # tokens of all steps so far
        self.started: float | None = None
        self.told = 0.0

    def restart(self, batch: int, **extra: object) -> None:
        """Another batch of so many images is begun; `extra` is told with it."""
        self.batch, self.extra = batch, extra
        self.first = self.last = 0

    def begin(self, images: int) -> None:
        """The next images of the batch are begun."""
        self.first, self.last = self.last + 1, self.last + images

    def step(self, index: int) -> None:
        """A step is finished."""
        now = self.clock()
        if (
            self.started is None
        ):  # what comes before the first step, loading, says nothing about the steps
            self.started = self.told = now
            self.done_before = self.tokens[index]
        self.done += self.tokens[index]
        if self.send is None or now - self.told < EVERY:
            return
        self.told = now
        self.send(self.message(index, now))

    def message(self, index: int, now: float) -> dict[str, object]:
        """Images `first` to `last` of `batch`, `step` of `count`, and the `seconds` that are left."""
        assert self.started is not None
        paid = self.done - self.done_before
        left = (self.work - self.done) * (now - self.started) / paid if paid else None
        return {
            "first": self.first,
            "last": self.last,
            "batch": self.batch,
            "step": index + 1,
            "count": len(self.tokens),
            "seconds": None if left is None else max(0, round(left)),
            **self.extra,
        }
