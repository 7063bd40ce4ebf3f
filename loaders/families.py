"""Every kind of network the pack can load, one line each, specific ones before broad ones."""

from ..models import alitok, llamagen, var
from ..models.family import Family
from ..models.tokenizers import alitok_1d, multiscale_vq, vq16

TRANSFORMERS: tuple[Family, ...] = (
    var.FAMILY,
    llamagen.FAMILY_CLASS,
    llamagen.FAMILY_TEXT,
    alitok.FAMILY,
)
TOKENIZERS: tuple[Family, ...] = (
    multiscale_vq.FAMILY,
    vq16.FAMILY,
    alitok_1d.FAMILY,
)
