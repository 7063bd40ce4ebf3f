"""Every kind of network the pack can load, one line each, specific ones before broad ones."""

from ..models import hart, infinity, switti, var, var_clip
from ..models.family import Family
from ..models.tokenizers import bsq, multiscale_vq

TRANSFORMERS: tuple[Family, ...] = (
    hart.FAMILY,
    infinity.FAMILY,
    switti.FAMILY,
    var.FAMILY,
    var_clip.FAMILY,
)
TOKENIZERS: tuple[Family, ...] = (bsq.FAMILY, multiscale_vq.FAMILY)
