"""What travels on the pack's own links; traces are in `picture_trace`."""

from dataclasses import dataclass

from comfy_api.v0_0_2 import io

from ..conditioning.base import Condition
from ..guidance.base import Guidance
from ..imaging.editing import Edit
from ..loaders.checkpoint import ARModel
from ..sampling.plan import Drawing

Model = io.Custom("AR_MODEL")
Conditioning = io.Custom("AR_CONDITIONING")
SamplingLink = io.Custom("AR_SAMPLING")
TraceLink = io.Custom("AR_TRACE")
TokensLink = io.Custom("AR_TOKENS")


@dataclass(frozen=True)
class Sampling:
    """A run that has not happened: everything it depends on. Every node returns a new one.

    Attributes:
        copies: pictures of every entry of the condition, one after the other.
        seeds: one for each of the copies, or () to number the whole batch under `seed`.
        rerolled: (picture, seed) of pictures that get another seed.
        only: which pictures of the batch to make, or None for all.
        edit: what to keep of an earlier picture, or None.
    """

    model: ARModel
    conditioning: Condition
    seed: int
    copies: int
    drawing: Drawing
    links: tuple[Guidance, ...] = ()
    seeds: tuple[int, ...] = ()
    rerolled: tuple[tuple[int, int], ...] = ()
    only: tuple[int, ...] | None = None
    edit: Edit | None = None

    @property
    def whole(self) -> int:
        """Pictures of the whole batch: `copies` of every entry of the condition."""
        return self.copies * self.conditioning.count

    @property
    def pictures(self) -> tuple[int, ...]:
        """Places in the whole batch of the pictures to make."""
        return tuple(range(self.whole)) if self.only is None else self.only

    @property
    def batch(self) -> int:
        """Pictures to make."""
        return len(self.pictures)

    def __repr__(self) -> str:
        chain = " -> ".join(link.name for link in self.links) or "no guidance"
        return f"AR sampling: {self.model.name}, {self.batch} pictures, seed {self.seed}, {chain}"
