"""What travels on the pack's own links; traces are in `picture_trace`."""

from dataclasses import dataclass

from comfy_api.v0_0_2 import io

from ..conditioning.base import Condition
from ..guidance.base import Guidance
from ..imaging.editing import Edit
from ..loaders.checkpoint import ARModel
from ..sampling.plan import SamplerSettings

Model = io.Custom("AR_MODEL")
Conditioning = io.Custom("AR_CONDITIONING")
SamplingLink = io.Custom("AR_SAMPLING")
TraceLink = io.Custom("AR_TRACE")
TokensLink = io.Custom("AR_TOKENS")


@dataclass(frozen=True)
class Sampling:
    """A run that has not happened: everything it depends on. Every node returns a new one.

    Attributes:
        copies: images of every entry of the condition, one after the other.
        seeds: one for each of the copies, or () to number the whole batch under `seed`.
        rerolled: (image, seed) of images that get another seed.
        only: which images of the batch to make, or None for all.
        edit: what to keep of an earlier image, or None.
    """

    model: ARModel
    conditioning: Condition
    seed: int
    copies: int
    sampler_settings: SamplerSettings
    guidances: tuple[Guidance, ...] = ()
    seeds: tuple[int, ...] = ()
    rerolled: tuple[tuple[int, int], ...] = ()
    only: tuple[int, ...] | None = None
    edit: Edit | None = None

    @property
    def whole(self) -> int:
        """Images of the whole batch: `copies` of every entry of the condition."""
        return self.copies * self.conditioning.count

    @property
    def images(self) -> tuple[int, ...]:
        """Places in the whole batch of the images to make."""
        return tuple(range(self.whole)) if self.only is None else self.only

    @property
    def batch(self) -> int:
        """Images to make."""
        return len(self.images)

    def __repr__(self) -> str:
        """From what is stored alone: the host writes it into its report of an error, and must not meet another there."""
        chain = " -> ".join(guidance.name for guidance in self.guidances) or "no guidance"
        return f"AR sampling: {self.model!r}, {self.conditioning!r}, {self.copies} of each, {chain}"
