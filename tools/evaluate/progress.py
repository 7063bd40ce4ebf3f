"""How far a run is, in a line at a time."""

import sys
import time
from dataclasses import dataclass, field
from typing import TextIO


@dataclass
class Progress:
    """Samples done, samples per second, time to go. Counts what this run makes; what was there counts as done.

    Attributes:
        total, done: samples.
        every: seconds between two lines, at least.
    """

    total: int
    done: int
    every: float = 5.0
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    started: float = field(default_factory=time.monotonic)
    made: int = 0
    shown: float = -1e9

    def add(self, samples: int) -> None:
        """Count finished samples."""
        self.made += samples
        self.done += samples
        now = time.monotonic()
        if now - self.shown >= self.every or self.done == self.total:
            self.shown = now
            print(self.line(now - self.started), file=self.stream, flush=True)

    def line(self, seconds: float) -> str:
        """One line, `seconds` after the start."""
        rate = self.made / max(seconds, 1e-9)
        left = round((self.total - self.done) / rate) if rate else 0
        share = 100 * self.done // max(self.total, 1)
        hours, rest = divmod(left, 3600)
        to_go = f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
        return f"{self.done}/{self.total} samples ({share} %), {rate:.1f} samples/s, {to_go} to go"
