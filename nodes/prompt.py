"""AR Prompt Condition: for models that read text with a tokenizer of their own."""

from comfy_api.v0_0_2 import io

from ..conditioning.prompt import PromptConditioning, prompt_spec, split_prompts
from ..loaders.checkpoint import ARModel
from ..loaders.text.prompts import read_own_tokenizer
from .checked import Node
from .compat import schema, widget
from .types import Conditioning, Model


class ARPromptCondition(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARPromptCondition",
            display_name="AR Prompt Condition",
            category="AR Guidance",
            description="Says what to generate in words, for models that read text themselves (SimpleAR, Lumina-mGPT 2): no"
            " text encoder is needed, their tokenizer files lie in the checkpoint's folder.",
            search_aliases=["prompt", "text", "CLIP text encode", "SimpleAR", "Lumina-mGPT"],
            inputs=[
                Model.Input("ar_model", tooltip="The model that reads the prompt."),
                widget(
                    io.String,
                    "prompt",
                    default="",
                    multiline=True,
                    dynamic_prompts=True,
                    tooltip="What to generate. Several prompts in one batch: put a line of three dashes (---) between them."
                    " Weights such as (word:1.2) are read as they stand, not as weights.",
                ),
                widget(
                    io.String,
                    "negative_prompt",
                    default="",
                    multiline=True,
                    dynamic_prompts=True,
                    optional=True,
                    tooltip="What guidance pushes away from. Empty = what the model's authors published (SimpleAR: a list"
                    " of flaws; Lumina-mGPT 2: no text at all). Has no effect without guidance.",
                ),
            ],
            outputs=[
                Conditioning.Output(
                    "ar_conditioning",
                    display_name="AR_CONDITIONING",
                    tooltip="What to generate: for AR Sampler.",
                )
            ],
        )

    @classmethod
    def execute(cls, ar_model: ARModel, prompt: str, negative_prompt: str = "") -> io.NodeOutput:
        prompt_spec(ar_model)
        tokenizer = read_own_tokenizer(ar_model.folder)
        condition = PromptConditioning(split_prompts(prompt), negative_prompt.strip(), tokenizer)
        condition.check(ar_model)
        return io.NodeOutput(condition)
