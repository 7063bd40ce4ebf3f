"""Whether a diffusion network can be compared with another one, which guides it."""

from ..models.edm2.config import EDM2Config
from .detect import DiffusionPart
from .quote import quoted
from .read import CheckpointError


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
