"""What travels on the pack's own links; traces are in `picture_trace`."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from comfy_api.v0_0_2 import io

from ..guidance.base import Guidance
from ..loaders.checkpoint import ARModel
from ..sampling.plan import Drawing
from .running.editing import Edit

Model = io.Custom("AR_MODEL")
Conditioning = io.Custom("AR_CONDITIONING")
SamplingLink = io.Custom("AR_SAMPLING")
TraceLink = io.Custom("AR_TRACE")
TokensLink = io.Custom("AR_TOKENS")


class Condition(Protocol):
    """What to draw: an entry per picture of the batch, of each of which the sampler may make several."""

    @property
    def count(self) -> int:
        """Entries."""
        ...

    def check(self, model: ARModel) -> None:
        """Raise ValueError when it was not made for this model."""
        ...

    def branches(self, model: ARModel, copies: int) -> tuple[Any, Any]:
        """The conditional and the unconditional branch's condition, as the network takes them: every entry `copies` times."""
        ...


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

    @property
    def count(self) -> int:
        return len(self.labels)

    def check(self, model: ARModel) -> None:
        if self.classes != getattr(model.config, "classes", 0):
            raise ValueError(
                f"the class condition was made for a model of {self.classes} classes, but {model.name}"
                f" has {getattr(model.config, 'classes', 0)}: connect both nodes to the same AR Load Checkpoint"
            )

    def branches(self, model: ARModel, copies: int) -> tuple[Any, Any]:
        labels = torch.tensor(self.labels).repeat_interleave(copies)
        return labels, model.network.null_condition(len(labels))

    def __repr__(self) -> str:
        return f"AR conditioning: {', '.join(self.names)}"


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
