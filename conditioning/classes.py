"""Classes, for models that know a fixed list of them."""

from dataclasses import dataclass

import torch

from ..loaders.quote import quoted
from ..models.family import class_count
from ..models.parts.text import NetworkCondition
from ..sampling.model import Model


@dataclass(frozen=True)
class ClassConditioning:
    """Class indices, one per image of the batch; the class after the model's last is "no class".

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

    def check(self, model: Model) -> None:
        if self.classes != class_count(model.config):
            raise ValueError(
                f"the class condition was made for a model of {self.classes} classes, but {quoted(model.name)}"
                f" has {class_count(model.config)}: connect both nodes to the same AR Load Checkpoint"
            )

    def branches(self, model: Model, copies: int) -> tuple[NetworkCondition, NetworkCondition]:
        labels = torch.tensor(self.labels).repeat_interleave(copies)
        return labels, model.network.null_condition(len(labels))

    def entry(self, index: int) -> "ClassConditioning":
        return ClassConditioning((self.labels[index],), self.classes, (self.names[index],))

    def __repr__(self) -> str:
        return quoted(f"AR conditioning: {', '.join(self.names)}", 400)
