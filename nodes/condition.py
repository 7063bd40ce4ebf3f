"""AR Class Condition."""

from comfy_api.v0_0_2 import io

from ..conditioning.classes import ClassConditioning
from ..conditioning.wildcards import resolved
from ..loaders.checkpoint import ARModel
from ..loaders.edm2 import EDM2Model
from ..loaders.quote import quoted
from ..models.family import class_count
from .checked import Node
from .compat import saying, schema, widget, wildcard_widget
from .inputs import labels
from .types import EDM2Link, Model, conditioning_output


class ARClassCondition(Node):
    parses = frozenset({"label"})

    @classmethod
    def define_schema(cls) -> io.Schema:
        choices = labels.choices()
        return schema(
            node_id="ARClassCondition",
            display_name="AR Class Condition",
            category="AR Guidance",
            description="Says what to generate, for models that know a fixed list of classes. One image per class; the"
            " sampler can make several of each.",
            search_aliases=["class label", "ImageNet", "VAR class", "emoji"],
            inputs=[
                io.MultiType.Input(
                    "ar_model", [Model, EDM2Link], tooltip="The model whose classes these are."
                ),
                widget(
                    io.Combo,
                    "label",
                    options=choices,
                    default=choices[0],
                    tooltip="Type to search. Take a label of the loaded model: 'ImageNet:' for the VAR releases."
                    " 'no class' generates anything.",
                ),
                widget(
                    io.String,
                    "classes",
                    default="",
                    multiline=True,
                    tooltip="Several classes in one batch: names or numbers, separated by commas or new lines."
                    " Everyday words (cats) and emoji are understood for the bundled models. Leave empty to use the label above."
                    " Choices in braces are made by wildcard_seed, // begins a comment.",
                ),
                wildcard_widget(),
            ],
            hidden=[io.Hidden.unique_id],
            outputs=[conditioning_output()],
        )

    @classmethod
    def execute(
        cls,
        ar_model: ARModel | EDM2Model,
        label: str,
        classes: str = "",
        wildcard_seed: int = 0,
    ) -> io.NodeOutput:
        if isinstance(ar_model, ARModel) and ar_model.family.conditioning != "class":
            raise ValueError(
                f"{ar_model.name} is a {ar_model.family.title} model and reads text, not classes: use"
                f" {'AR Text Condition' if ar_model.family.text else 'AR Prompt Condition'} instead"
            )
        if class_count(ar_model.config) == 0:
            raise ValueError(
                f"{quoted(ar_model.name)} is an unconditional network, which knows no classes: leave ar_conditioning of AR"
                f" EDM2 Sampler unconnected"
            )
        written = resolved(classes, wildcard_seed)
        indices, names = labels.parse(ar_model, label, written)
        output = io.NodeOutput(
            ClassConditioning(tuple(indices), class_count(ar_model.config), tuple(names))
        )
        return output if written == classes else saying(output, ", ".join(names))
