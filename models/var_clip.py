"""VAR-CLIP: VAR whose condition is a CLIP text vector (daixiangzi/VAR-CLIP); everything else is VAR.

c = P e for the text, c = P n for "no text": e the L2-normalised text vector (rows, E), n a learned one, used as it is.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import Unpack

from .family import Defaults, FileFacts, TextSpec, TransformerFamily
from .parts.operations import Operations, Place
from .parts.text import TextCondition
from .text.encoders import CLIP_VECTOR
from .var import FAMILY as VAR_FAMILY
from .var import VAR, VARConfig, sizes_from_file


@dataclass(frozen=True)
class VARClipConfig(VARConfig):
    """VAR's sizes and the width E of the text vector."""

    text_dim: int = 768


class VARClip(VAR):
    """The transformer; a branch's condition is (B, E), text vectors or `null_condition`."""

    config: VARClipConfig  # pyright: ignore[reportIncompatibleVariableOverride]  # a narrower one

    def build_condition(self, operations: Operations, **place: Unpack[Place]) -> None:
        """Make the layers of `condition`."""
        self.noise = operations.Embedding(1, self.config.text_dim, **place)
        self.cond_proj = operations.Linear(self.config.text_dim, self.config.width, **place)

    def condition(self, given: Tensor) -> Tensor:
        """Text vectors (rows, E) -> (rows, C)."""
        return self.cond_proj(given.to(self.compute_dtype))

    def null_condition(self, batch: int) -> Tensor:
        """The learned vector for "no text", (B, E): not normalised, unlike a text's."""
        return self.noise(torch.zeros(batch, dtype=torch.long)).float()


def config_from_file(facts: FileFacts) -> VARClipConfig:
    """Everything the network needs to know; the width of the text vector is the projection's."""
    return VARClipConfig(
        classes=0, text_dim=facts.shapes["cond_proj.weight"][1], **sizes_from_file(facts)
    )


def text_vector(config: VARClipConfig, text: TextCondition) -> Tensor:
    """The prompt's one vector, divided by its length: (B, 1, E) -> (B, E)."""
    return F.normalize(text.features[:, 0].float(), dim=-1)


FAMILY = TransformerFamily(
    name="var_clip",
    title="VAR-CLIP",
    required=(
        "cond_proj.weight",
        "noise.weight",
        *(key for key in VAR_FAMILY.required if key != "class_emb.weight"),
    ),
    banned=("class_emb.", "text_", "blocks.0.cross_attn."),
    config=config_from_file,
    build=VARClip,
    ignored=VAR_FAMILY.ignored,
    absent=VAR_FAMILY.absent,
    conditioning="text",
    text=TextSpec(
        CLIP_VECTOR,
        width=lambda config: config.text_dim,
        tokens=lambda config: 1,
        fixed=True,
        condition=text_vector,
    ),
    kind="scale",
    tokenizer="multiscale_vq",
    sizes=((256, 256),),
    smoothable=True,
    # The release's demo: cfg 4 in VAR's convention, top-k 900, top-p 0.95.
    defaults=Defaults(scale=5.0, schedule="linear ramp", top_k=900, top_p=0.95),
)
