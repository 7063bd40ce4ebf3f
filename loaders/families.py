"""Every kind of network the pack can load, one line each, specific ones before broad ones."""

from collections.abc import Sequence

from ..models import alitok, llamagen, lumina2, simplear, var, var_clip
from ..models.edm2 import network as edm2
from ..models.family import DiffusionFamily, Family, PartName, TokenizerFamily, TransformerFamily
from ..models.hart import network as hart
from ..models.infinity import network as infinity
from ..models.switti import network as switti
from ..models.tokenizers import alitok_1d, bsq, cosmos_dv, movq, multiscale_vq, vq16, vqgan
from ..models.vq_diffusion import families as vq_diffusion

TRANSFORMERS: tuple[TransformerFamily, ...] = (
    hart.FAMILY,
    infinity.FAMILY,
    switti.FAMILY,
    var.FAMILY,
    var_clip.FAMILY,
    llamagen.FAMILY_CLASS,
    llamagen.FAMILY_TEXT,
    alitok.FAMILY,
    simplear.FAMILY,
    lumina2.FAMILY,
    *vq_diffusion.FAMILIES,
)
TOKENIZERS: tuple[TokenizerFamily, ...] = (
    bsq.FAMILY,
    multiscale_vq.FAMILY,
    vq16.FAMILY,
    alitok_1d.FAMILY,
    cosmos_dv.FAMILY,
    movq.FAMILY,
    vqgan.FAMILY_INSIDE,
    vqgan.FAMILY,
)
DIFFUSION: tuple[DiffusionFamily, ...] = (edm2.FAMILY,)
PARTS: dict[PartName, Sequence[Family]] = {
    "transformer": TRANSFORMERS,
    "tokenizer": TOKENIZERS,
    "diffusion": DIFFUSION,
}
