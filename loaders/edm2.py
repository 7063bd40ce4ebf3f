"""EDM2 files -> networks ready to sample: the one that draws and the one it is compared with, checked against each other."""

from dataclasses import dataclass
from pathlib import Path

from ..models.edm2.config import EDM2Config
from ..models.edm2.network import EDM2
from ..models.family import DiffusionFamily
from .class_names import class_labels
from .detect import find_part
from .pair import check_pair
from .place import Patcher, place_part
from .read import read_weights


@dataclass(frozen=True, repr=False)
class EDM2Model:
    """What travels on an AR_EDM2_MODEL link.

    Attributes:
        name: file name of the network.
        family, config: what it is, and its sizes.
        patcher: the network in ComfyUI's memory management.
        guide_name, guide_patcher: of the network it is compared with; "" and None where there is none.
        labels: class names in order, or () when there are none.
        label_set: what the labels are called.
    """

    name: str
    family: DiffusionFamily
    config: EDM2Config
    patcher: Patcher
    guide_name: str = ""
    guide_patcher: Patcher | None = None
    labels: tuple[str, ...] = ()
    label_set: str = ""

    def get_models(self) -> list[Patcher]:
        """Further patchers, for the host's bookkeeping."""
        return [] if self.guide_patcher is None else [self.guide_patcher]

    @property
    def patchers(self) -> list[Patcher]:
        """Both networks', or the one there is."""
        return [self.patcher, *self.get_models()]

    @property
    def network(self) -> EDM2:
        return self.patcher.model

    @property
    def guide(self) -> EDM2 | None:
        return None if self.guide_patcher is None else self.guide_patcher.model

    def __repr__(self) -> str:
        return f"EDM2 model {self.name}" + (f", guide {self.guide_name}" if self.guide_name else "")


def load_edm2(path: str | Path, guide: str | Path | None = None) -> EDM2Model:
    """Load a network and, where there is one, the network that guides it.

    Raises:
        CheckpointError: unreadable, unknown or incomplete files, or two that do not belong together. Nothing is placed in
            memory before both are checked.
    """
    main = find_part(read_weights(path), "diffusion")
    other = None if guide is None else find_part(read_weights(guide), "diffusion")
    if other is not None:
        check_pair(main, other)
    labels, label_set = class_labels(main)
    return EDM2Model(
        name=main.weights.path.name,
        family=main.family,
        config=main.config,
        patcher=place_part(main),
        guide_name="" if other is None else other.weights.path.name,
        guide_patcher=None if other is None else place_part(other),
        labels=labels,
        label_set=label_set,
    )
