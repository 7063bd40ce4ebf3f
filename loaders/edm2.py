"""EDM2 files -> networks ready to sample: the one that draws and the one it is compared with, checked against each other."""

from dataclasses import dataclass
from pathlib import Path

from ..models.edm2.config import EDM2Config
from ..models.edm2.network import EDM2
from ..models.family import DiffusionFamily
from .class_names import class_labels
from .detect import DiffusionPart, find_part
from .place import Patcher, place_part
from .quote import quoted
from .read import CheckpointError, read_weights


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


def check_pair(main: DiffusionPart, guide: DiffusionPart) -> None:
    """Raise CheckpointError when a network cannot be compared with another one."""
    ours, theirs = main.config, guide.config
    name, other = (quoted(part.weights.path.name) for part in (main, guide))
    names = f"{name} and its guide {other}"
    if main.weights.path.resolve() == guide.weights.path.resolve():
        raise CheckpointError(
            f"{name}: the guide is the network itself, so guidance would do nothing. Choose an '-uncond' file, or a"
            " smaller or less trained network as the guide"
        )
    if (ours.resolution, ours.channels) != (theirs.resolution, theirs.channels):
        raise CheckpointError(
            f"{names} do not belong together: {_size(ours)} against {_size(theirs)}. Choose a guide whose name begins like the"
            " network's (edm2-img512 or edm2-img64)"
        )
    if theirs.classes not in (0, ours.classes):
        known = f"{ours.classes} classes" if ours.classes else "no classes"
        raise CheckpointError(
            f"{names} do not belong together: the network knows {known}, the guide {theirs.classes}. Choose an '-uncond' file"
            + (" or a guide with the same classes" if ours.classes else " as the guide")
        )


def _size(config: EDM2Config) -> str:
    kind = "latents" if config.latent else "pixels"
    return f"{config.resolution}x{config.resolution} {kind} of {config.channels} channels"
