"""Every kind of network the pack can load, one line each, specific ones before broad ones."""

from ..models import var
from ..models.family import Family
from ..models.tokenizers import multiscale_vq

TRANSFORMERS: tuple[Family, ...] = (var.FAMILY,)
TOKENIZERS: tuple[Family, ...] = (multiscale_vq.FAMILY,)
