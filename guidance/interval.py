"""The part of a run in which something acts: one statement for schedules, guidances and regions."""


class Interval:
    """What acts from `start` to `end` only; both are shares of the run in 0-1, and both ends are included.

    A dataclass that derives from this declares the two as fields of its own, where its order wants them.
    """

    start: float = 0.0
    end: float = 1.0

    def check_interval(self) -> None:
        """Raise ValueError when it ends before it starts, or leaves 0-1."""
        if not 0 <= self.start <= self.end <= 1:
            raise ValueError(
                f"start {self.start} and end {self.end} must satisfy 0 <= start <= end <= 1"
            )

    def covers(self, index: int, count: int) -> bool:
        """Whether step `index` of `count` lies between start and end."""
        return self.start <= (index / (count - 1) if count > 1 else 0.0) <= self.end
