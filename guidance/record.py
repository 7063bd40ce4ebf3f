"""Per-token maps of a run for whoever listens; by default nobody does, and then nothing is computed."""

from collections.abc import Callable

from torch import Tensor


class Recorder:
    """Null recorder: `wants` is False, so callers skip the computation."""

    wants = False

    def add(self, name: str, step: int, make: Callable[[], Tensor]) -> None:
        """Store the (B, T) map that `make` computes, if this recorder wants it."""


NULL_RECORDER = Recorder()
