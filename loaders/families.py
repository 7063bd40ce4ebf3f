"""Every kind of network the pack can load, one line each, specific ones before broad ones."""

from ..models import switti, var, var_clip
from ..models.family import Family
from ..models.tokenizers import multiscale_vq

TRANSFORMERS: tuple[Family, ...] = (
    switti.FAMILY,
    var.FAMILY,
    var_clip.FAMILY,
)
TOKENIZERS: tuple[Family, ...] = (multiscale_vq.FAMILY,)
