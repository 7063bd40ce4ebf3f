"""AR Text Condition."""

from typing import Any

from comfy_api.v0_0_2 import io

from ..loaders.checkpoint import ARModel
from .compat import schema
from .prompts import TextConditioning, read_conditioning
from .types import Conditioning, Model


class ARTextCondition(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARTextCondition",
            display_name="AR Text Condition",
            category="AR Guidance",
            description="Says what to draw, for models that read text: takes prompts from ComfyUI's own CLIP Text Encode"
            " and checks that they come from the text encoder the model was trained with.",
            search_aliases=["prompt", "text to image", "negative prompt", "Infinity prompt"],
            inputs=[
                Model.Input("ar_model", tooltip="The model that shall draw it."),
                io.Conditioning.Input(
                    "positive",
                    tooltip="From CLIP Text Encode. Several prompts joined by Conditioning (Combine) make a batch: one"
                    " picture each.",
                ),
                io.Conditioning.Input(
                    "negative",
                    optional=True,
                    tooltip='What guidance leads away from. Leave it open for what the model learnt as "no prompt";'
                    " Switti learnt none and needs it, with an empty text.",
                ),
            ],
            outputs=[Conditioning.Output("ar_conditioning", display_name="AR_CONDITIONING")],
        )

    @classmethod
    def execute(
        cls, ar_model: ARModel, positive: list[Any], negative: list[Any] | None = None
    ) -> io.NodeOutput:
        condition = TextConditioning(
            read_conditioning(positive, "positive"),
            () if negative is None else read_conditioning(negative, "negative"),
        )
        condition.check(ar_model)
        return io.NodeOutput(condition)
