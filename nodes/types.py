"""What travels on the pack's own links."""

from dataclasses import dataclass

from comfy_api.v0_0_2 import io

from ..guidance.base import Guidance
from ..loaders.checkpoint import ARModel
from ..sampling.draw import Filters

Model = io.Custom("AR_MODEL")
Conditioning = io.Custom("AR_CONDITIONING")
SamplingLink = io.Custom("AR_SAMPLING")


@dataclass(frozen=True)
class ClassConditioning:
    """Class indices, one per picture of the batch; the class after the model's last is "no class".

    Attributes:
        labels: indices.
        classes: how many classes the model they were chosen for has.
        names: what they are called.
    """

    labels: tuple[int, ...]
    classes: int
    names: tuple[str, ...]

    def __repr__(self) -> str:
        return f"AR conditioning: {', '.join(self.names)}"


@dataclass(frozen=True)
class Sampling:
    """A run that has not happened: everything it depends on. Every node returns a new one."""

    model: ARModel
    conditioning: ClassConditioning
    seed: int
    copies: int
    filters: Filters
    links: tuple[Guidance, ...] = ()

    @property
    def batch(self) -> int:
        """Pictures: `copies` of every class."""
        return self.copies * len(self.conditioning.labels)

    def __repr__(self) -> str:
        chain = " -> ".join(link.name for link in self.links) or "no guidance"
        return f"AR sampling: {self.model.name}, {self.batch} pictures, seed {self.seed}, {chain}"
