"""What every condition offers to a run."""

from typing import Protocol

from ..sampling.mixture import BranchCondition
from ..sampling.model import Model


class Condition(Protocol):
    """What to generate: an entry per image of the batch, of each of which the sampler may make several."""

    @property
    def count(self) -> int:
        """Entries."""
        ...

    def check(self, model: Model) -> None:
        """Raise ValueError when it was not made for this model."""
        ...

    def branches(self, model: Model, copies: int) -> tuple[BranchCondition, BranchCondition]:
        """The conditional and the unconditional branch's condition, as the network takes them: every entry `copies` times."""
        ...

    def entry(self, index: int) -> "Condition":
        """One entry as a condition of its own, as if it had been given alone."""
        ...
