"""VQ-Diffusion's files: ImageNet's classes, captions with a learned "no text", captions without."""

from typing import Any

import torch

from ..family import Defaults, TextSpec, TransformerFamily
from ..parts.text import TextCondition
from ..text.encoders import CLIP_ROWS
from ..tokenizers.vqgan import VQGANConfig
from .config import VQDiffusionConfig, config_from_file
from .network import BUFFERS, VQDiffusion

_REQUIRED = (
    "log_cumprod_at",
    "transformer.to_logits.1.weight",
    "transformer.content_emb.emb.weight",
)
# The text tower is loaded by AR Load Text Encoder; the rest is of training, or never used.
_IGNORED = (
    r"condition_emb\..*|Lt_(history|count)|log_1_min_ct|.*\.attn2\.mask|content_codec\..*|"
    r"first_stage_.*|(?!transformer\.|log_|empty_text_embed).*"
)
ITHQ = 4096  # tokens of the largest text model
NOTHING = -1e30  # in place of log 0: exp gives 0 all the same


def all_rows(config: VQDiffusionConfig, text: TextCondition) -> TextCondition:
    """The features of all positions: the network has no mask, and was trained to see the padding."""
    return TextCondition(text.features, None)


def fit(transformer: VQDiffusionConfig, tokenizer: VQGANConfig) -> VQGANConfig:
    """The tokenizer with the list of kept codes this transformer was trained with.

    Raises:
        ValueError: the list is missing, or the codes are others.
    """
    return tokenizer.reduced(transformer.vocab)


def finite_logs(
    config: VQDiffusionConfig, tensors: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The schedule with a number in place of log 0, so that a damaged file is told apart by what is not a number."""
    logs = {key: tensors[key] for key in BUFFERS if key in tensors}
    nothing = {key: value.masked_fill(value.isneginf(), NOTHING) for key, value in logs.items()}
    return tensors | nothing


def text_defaults(config: VQDiffusionConfig) -> Defaults:
    """As the demos: guidance 5 for ITHQ, 3 for the others."""
    return Defaults(5.0 if config.vocab == ITHQ else 3.0, "constant", 0, 1.0)


_TEXT = TextSpec(
    CLIP_ROWS,
    width=lambda config: config.text_width,
    tokens=lambda config: config.text_rows,
    fixed=True,
    condition=all_rows,
)
_SHARED: dict[str, Any] = {
    "config": config_from_file,
    "build": VQDiffusion,
    "ignored": _IGNORED,
    "kind": "discrete",
    "tokenizer": "vqgan",
    "causal": lambda config: False,
    "dtypes": (torch.float32,),  # as its release runs
    "fit": fit,
    "trim": finite_logs,
    "averaged": True,
}
FAMILY_CLASS = TransformerFamily(
    name="vq_diffusion",
    title="VQ-Diffusion (classes)",
    required=(*_REQUIRED, "transformer.blocks.0.ln2.emb.weight"),
    conditioning="class",
    tokenizer_file="vqgan_imagenet_f16_16384.pth",
    free_size=True,
    sizes=((256, 256),),
    defaults=Defaults(1.5, "constant", 0, 0.94),
    **_SHARED,
)
FAMILY_TEXT = TransformerFamily(
    name="vq_diffusion_text",
    title="VQ-Diffusion (text)",
    required=(*_REQUIRED, "transformer.blocks.0.attn2.key.weight", "empty_text_embed"),
    conditioning="text",
    text=_TEXT,
    tokenizer_file="ithq_vqvae.pth or taming_f8_8192_openimages_last.pth",
    sizes=((256, 256),),
    defaults=text_defaults,
    **_SHARED,
)
FAMILY_TEXT_PLAIN = TransformerFamily(
    name="vq_diffusion_text_plain",
    title="VQ-Diffusion (text)",
    required=(*_REQUIRED, "transformer.blocks.0.attn2.key.weight"),
    banned=("empty_text_embed",),
    conditioning="text",
    text=_TEXT,
    null="prompt",
    tokenizer_file="taming_f8_8192_openimages_last.pth",
    sizes=((256, 256),),
    defaults=text_defaults,
    **_SHARED,
)
FAMILIES = (FAMILY_CLASS, FAMILY_TEXT, FAMILY_TEXT_PLAIN)
