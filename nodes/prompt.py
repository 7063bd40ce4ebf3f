"""AR Prompt Condition: for models that read text with a tokenizer of their own."""

import re
from dataclasses import dataclass

from comfy_api.v0_0_2 import io

from ..loaders.checkpoint import ARModel
from ..loaders.prompts import TextTokenizer, encode, encode_negative, read_tokenizer
from ..models.family import PromptSpec
from ..models.parts.prompt import Prompt
from .compat import schema, widget
from .types import Conditioning, Model

SEPARATOR = r"^[ \t]*-{3,}[ \t]*$"


@dataclass(frozen=True)
class PromptConditioning:
    """Prompts as text: ids are made when the run is described, for a prompt may name the picture's size.

    Attributes:
        prompts: one per picture of the batch.
        negative: of all of them; "" = what the model's authors published.
        tokenizer: the model's own.
    """

    prompts: tuple[str, ...]
    negative: str
    tokenizer: TextTokenizer

    @property
    def count(self) -> int:
        return len(self.prompts)

    def check(self, model: ARModel) -> None:
        if model.family.prompt is None or model.folder != self.tokenizer.folder:
            raise ValueError(
                f"the prompt was read by the tokenizer in {self.tokenizer.folder.name}, which is not that of"
                f" {model.name}: connect both nodes to the same AR Load Checkpoint"
            )
        self.branches(model, 1)

    def branches(self, model: ARModel, copies: int) -> tuple[Prompt, Prompt]:
        spec, config = prompt_spec(model), model.config
        self.tokenizer.check(spec, config)
        cond = encode(spec, config, self.tokenizer, self.prompts)
        null = encode_negative(spec, config, self.tokenizer, self.negative, self.count)
        return cond.repeated(copies), null.repeated(copies)

    def __repr__(self) -> str:
        return f"AR conditioning: {' | '.join(prompt[:60] for prompt in self.prompts)}"


def prompt_spec(model: ARModel) -> PromptSpec:
    """How this model is told what to draw.

    Raises:
        ValueError: it does not read text itself.
    """
    if model.family.prompt is None:
        raise ValueError(
            f"{model.name} is a {model.family.title} model, which does not read text itself. For classes use AR Class"
            " Condition; AR Prompt Condition is for SimpleAR and Lumina-mGPT 2"
        )
    return model.family.prompt


def split_prompts(text: str) -> tuple[str, ...]:
    """Prompts between lines of three or more dashes; empty ones are left out.

    Raises:
        ValueError: nothing is left.
    """
    pieces = [piece.strip() for piece in re.split(SEPARATOR, text, flags=re.MULTILINE)]
    prompts = tuple(piece for piece in pieces if piece)
    if not prompts:
        raise ValueError("the prompt is empty: write what to draw")
    return prompts


class ARPromptCondition(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARPromptCondition",
            display_name="AR Prompt Condition",
            category="AR Guidance",
            description="Says what to draw in words, for models that read text themselves (SimpleAR, Lumina-mGPT 2): no"
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
                    tooltip="What to draw. Several prompts in one batch: put a line of three dashes (---) between them."
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
                    tooltip="What to draw: for AR Sampler.",
                )
            ],
        )

    @classmethod
    def execute(cls, ar_model: ARModel, prompt: str, negative_prompt: str = "") -> io.NodeOutput:
        prompt_spec(ar_model)
        tokenizer = read_tokenizer(ar_model.folder)
        condition = PromptConditioning(split_prompts(prompt), negative_prompt.strip(), tokenizer)
        condition.check(ar_model)
        return io.NodeOutput(condition)
