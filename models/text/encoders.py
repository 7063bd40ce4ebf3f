"""The text encoders the families were trained with: what they are called, in messages and in a conditioning's options."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TextEncoder:
    """One kind of text encoder.

    Attributes:
        name: identifier; our loader writes it into everything the encoder gives.
        title: for people.
        load: which node loads it from which file.
        hosted: whether ComfyUI's own loaders load its files too, so that a conditioning without our mark may be right.
    """

    name: str
    title: str
    load: str
    hosted: bool = False


FLAN_T5 = TextEncoder(
    "flan_t5",
    "flan-T5-XL",
    "AR Load Text Encoder with the flan-T5-XL file",
)
QWEN2 = TextEncoder(
    "qwen2",
    "Qwen2-1.5B",
    "AR Load Text Encoder with the Qwen2-1.5B file of HART's release",
)
CLIP_VECTOR = TextEncoder(
    "clip_vector",
    "CLIP ViT-L/14 text tower (one vector per prompt)",
    "AR Load Text Encoder with the CLIP ViT-L/14 file",
    hosted=True,
)
CLIP_PAIR = TextEncoder(
    "clip_pair",
    "CLIP-L and CLIP-bigG, last layer",
    "AR Load Text Encoder with both files, CLIP-L and CLIP-bigG",
    hosted=True,
)
CLIP_ROWS = TextEncoder(
    "clip_rows",
    "CLIP ViT-B/32 text tower (all 77 positions)",
    "AR Load Text Encoder with the CLIP ViT-B/32 file, or with the VQ-Diffusion checkpoint itself, which holds the tower",
)
ENCODERS = {
    encoder.name: encoder for encoder in (FLAN_T5, QWEN2, CLIP_VECTOR, CLIP_PAIR, CLIP_ROWS)
}

MARK = "ar_text_encoder"  # option of a CONDITIONING: the encoder's name
