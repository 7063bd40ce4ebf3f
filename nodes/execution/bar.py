"""The host's progress bar, told no more often than it is seen to move.

Of a short run older hosts would send a message for every report; newer ones leave most of them out themselves.
"""

import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

EVERY = 0.05  # seconds between two messages, at least; half of what newer hosts wait
Preview = TypeVar("Preview", contravariant=True)


class HostBar(Protocol[Preview]):
    """`comfy.utils.ProgressBar`."""

    def update_absolute(
        self, value: int, total: int | None = None, preview: Preview | None = None
    ) -> None: ...


class Bar(Generic[Preview]):
    """Passes on the first message, the last, those with a preview, and of the others what comes late enough."""

    def __init__(self, host: HostBar[Preview], clock: Callable[[], float] = time.monotonic) -> None:
        self.host, self.clock = host, clock
        self.told: float | None = None

    def update(self, done: int, total: int, preview: Preview | None = None) -> None:
        """So many of all steps are done."""
        now = self.clock()
        late = self.told is None or now - self.told >= EVERY
        if late or preview is not None or done >= total:
            self.told = now
            self.host.update_absolute(done, total, preview)
