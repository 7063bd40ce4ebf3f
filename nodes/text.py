"""AR Load Text Encoder and AR Text Condition."""

from comfy_api.v0_0_2 import io

from ..conditioning.stock import text_condition
from ..conditioning.text import StockConditioning
from ..loaders.checkpoint import ARModel
from ..loaders.text.encoders import PRECISIONS, load_text_encoder
from .checked import Node
from .compat import schema, tell, widget
from .inputs import folders
from .types import Model, conditioning_output


class ARLoadTextEncoder(Node):
    parses = frozenset({"text_encoder", "second_file"})

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARLoadTextEncoder",
            display_name="AR Load Text Encoder",
            category="AR Guidance",
            description="Loads the text encoder of a text-to-image model as an ordinary CLIP, for CLIP Text Encode. It loads"
            " the encoders that ComfyUI's own loaders cannot load in their released form, and recognises each by its file.",
            search_aliases=["flan-T5-XL", "Qwen2", "CLIP loader", "Infinity", "HART", "VAR-CLIP"],
            inputs=[
                widget(
                    io.Combo,
                    "text_encoder",
                    options=folders.text_encoder_choices(),
                    tooltip="File from models/text_encoders: flan-T5-XL (Infinity, LlamaGen), Qwen2-1.5B (HART), CLIP"
                    " ViT-L/14 (VAR-CLIP, Switti) or CLIP ViT-B/32 (VQ-Diffusion, whose own checkpoint holds it too). For a"
                    " model in several files choose any of them.",
                ),
                widget(
                    io.Combo,
                    "second_file",
                    options=[folders.NO_FILE, *folders.text_encoder_choices()],
                    default=folders.NO_FILE,
                    tooltip="Only for Switti, which reads two encoders: CLIP-bigG.",
                ),
                widget(
                    io.Combo,
                    "precision",
                    options=list(PRECISIONS),
                    default="automatic",
                    optional=True,
                    advanced=True,
                    tooltip="How the weights are stored; computation is always in float32. 'automatic' = half precision: that"
                    " of the file, or ComfyUI's choice.",
                ),
                widget(
                    io.Boolean,
                    "clean_captions",
                    default=False,
                    optional=True,
                    tooltip="For LlamaGen, whose training captions were lower case, without links, markup and unusual characters."
                    " Off for Infinity.",
                ),
                widget(
                    io.String,
                    "prompt_prefix",
                    default="",
                    multiline=True,
                    optional=True,
                    advanced=True,
                    tooltip="For HART: the instruction its release puts before every prompt. Empty = what"
                    " prompt_prefix.txt in the encoder's folder says.",
                ),
            ],
            outputs=[
                io.Clip.Output(
                    "clip", display_name="CLIP", tooltip="An ordinary CLIP: for CLIP Text Encode."
                )
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def fingerprint_inputs(
        cls, text_encoder: str, second_file: str = folders.NO_FILE, **settings: object
    ) -> object:
        paths = folders.resolve_text_encoder(text_encoder, second_file)
        return [*folders.state_of(paths), *settings.values()]

    @classmethod
    def execute(
        cls,
        text_encoder: str,
        second_file: str = folders.NO_FILE,
        precision: str = "automatic",
        clean_captions: bool = False,
        prompt_prefix: str = "",
    ) -> io.NodeOutput:
        paths = folders.resolve_text_encoder(text_encoder, second_file)
        clip, note = load_text_encoder(paths, precision, prompt_prefix, clean_captions)
        if note:
            tell(cls, note)
        return io.NodeOutput(clip)


class ARTextCondition(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARTextCondition",
            display_name="AR Text Condition",
            category="AR Guidance",
            description="Says what to generate, for models that read text: takes prompts from ComfyUI's own CLIP Text Encode"
            " and checks that they come from the text encoder the model was trained with.",
            search_aliases=["prompt", "text to image", "negative prompt", "Infinity prompt"],
            inputs=[
                Model.Input("ar_model", tooltip="The model that will generate it."),
                io.Conditioning.Input(
                    "positive",
                    tooltip="From CLIP Text Encode with the CLIP of AR Load Text Encoder. Several prompts joined by"
                    " Conditioning (Combine) make a batch: one image each. If any of them has a mask, an area or a time range"
                    " (Conditioning (Set Mask) and similar nodes), all of them make one image together.",
                ),
                io.Conditioning.Input(
                    "negative",
                    optional=True,
                    tooltip='What guidance pushes away from. Leave it unconnected for what the model learnt as "no prompt";'
                    " Switti learnt none and needs an encoded empty text here.",
                ),
            ],
            outputs=[conditioning_output()],
        )

    @classmethod
    def execute(
        cls,
        ar_model: ARModel,
        positive: StockConditioning,
        negative: StockConditioning | None = None,
    ) -> io.NodeOutput:
        condition = text_condition(positive, negative)
        condition.check(ar_model)
        return io.NodeOutput(condition)
