"""AR Prompt Condition: for models that read text with a tokenizer of their own."""

from comfy_api.v0_0_2 import io

from ..conditioning.prompt import PromptConditioning, prompt_spec, split_prompts
from ..conditioning.wildcards import by_line, resolved
from ..loaders.checkpoint import ARModel
from ..loaders.text.prompts import read_own_tokenizer
from .checked import Node
from .compat import saying, schema, widget, wildcard_widget
from .types import Model, conditioning_output

BY_DASHES, BY_LINE = "lines of dashes", "one prompt per line"


class ARPromptCondition(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARPromptCondition",
            display_name="AR Prompt Condition",
            category="AR Guidance",
            description="Says what to generate in words, for models that read text themselves (SimpleAR, Lumina-mGPT 2): no"
            " text encoder is needed; their tokenizer files are in the checkpoint's folder.",
            search_aliases=["prompt", "text", "CLIP text encode", "SimpleAR", "Lumina-mGPT"],
            inputs=[
                Model.Input("ar_model", tooltip="The model that reads the prompt."),
                widget(
                    io.String,
                    "prompt",
                    default="",
                    multiline=True,
                    tooltip="What to generate. Several prompts in one batch: put a line of three dashes (---) between them, or"
                    " set lists. A choice in braces is made by wildcard_seed, // begins a comment."
                    " Weights such as (word:1.2) are read as they stand, not as weights.",
                ),
                widget(
                    io.String,
                    "negative_prompt",
                    default="",
                    multiline=True,
                    optional=True,
                    tooltip="What guidance pushes away from. Empty = what the model's authors published (SimpleAR: a list"
                    " of flaws; Lumina-mGPT 2: no text at all). Has no effect without guidance.",
                ),
                wildcard_widget(),
                widget(
                    io.Combo,
                    "lists",
                    options=[BY_DASHES, BY_LINE],
                    default=BY_DASHES,
                    optional=True,
                    advanced=True,
                    tooltip="How several prompts are written. 'lines of dashes': a prompt may have many lines. 'one prompt per"
                    " line': every line is an image of the batch; empty lines are left out.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            outputs=[conditioning_output()],
        )

    @classmethod
    def execute(
        cls,
        ar_model: ARModel,
        prompt: str,
        negative_prompt: str = "",
        wildcard_seed: int = 0,
        lists: str = BY_DASHES,
    ) -> io.NodeOutput:
        prompt_spec(ar_model)
        tokenizer = read_own_tokenizer(ar_model.folder)
        written, against = (resolved(text, wildcard_seed) for text in (prompt, negative_prompt))
        prompts = by_line(written) if lists == BY_LINE else ()
        condition = PromptConditioning(
            prompts or split_prompts(written), against.strip(), tokenizer
        )
        condition.check(ar_model)
        output = io.NodeOutput(condition)
        if (written, against) == (prompt, negative_prompt):
            return output
        return saying(output, "\n---\n".join(condition.prompts))
