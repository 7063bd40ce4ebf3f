"""AR Load Checkpoint."""

from comfy_api.v0_0_2 import io

from ..loaders.checkpoint import load_model
from .checked import Node
from .compat import schema, tell, widget
from .inputs import folders
from .types import Model


class ARLoadCheckpoint(Node):
    parses = frozenset({"checkpoint", "tokenizer"})

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARLoadCheckpoint",
            display_name="AR Load Checkpoint",
            category="AR Guidance",
            description="Loads a visual autoregressive model: its transformer and the image tokenizer that turns its"
            " tokens into images. The kind and size of the model are read from the file.",
            search_aliases=[
                "emoji",
                "VAR",
                "LlamaGen",
                "AliTok",
                "Lumina-mGPT",
                "VQ-Diffusion",
                "autoregressive",
                "load VAR",
                "next-scale",
                "next-token",
            ],
            inputs=[
                widget(
                    io.Combo,
                    "checkpoint",
                    options=folders.checkpoint_choices(),
                    default=folders.BUNDLED,
                    tooltip="Transformer file from models/ar_checkpoints; for a model in several files choose its"
                    " model.safetensors.index.json. The two bundled emoji models are always there: one draws scale by scale"
                    " (VAR), one token by token (LlamaGen).",
                ),
                widget(
                    io.Combo,
                    "tokenizer",
                    options=folders.tokenizer_choices(),
                    default=folders.SAME_FILE,
                    tooltip="Image tokenizer file from models/ar_tokenizers. 'automatic' for the bundled models and for"
                    " checkpoints that hold both.",
                ),
                widget(
                    io.Int,
                    "picture_size",
                    default=0,
                    min=0,
                    max=2048,
                    step=8,
                    optional=True,
                    advanced=True,
                    tooltip="Side of the image in pixels, for files that do not say it (LlamaGen: 256, 384 or 512, as"
                    " in the file's name; Lumina-mGPT 2: up to 768). 0 = what the file suggests. A size the model was not"
                    " trained for looks broken.",
                ),
            ],
            outputs=[
                Model.Output(
                    "ar_model",
                    display_name="AR_MODEL",
                    tooltip="The loaded model: for a condition node, AR Sampler and the nodes that turn images into tokens and"
                    " back.",
                )
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def fingerprint_inputs(cls, checkpoint: str, tokenizer: str, picture_size: int = 0) -> object:
        paths = [path for path in folders.resolve(checkpoint, tokenizer) if path is not None]
        return [*folders.state_of(paths), picture_size]

    @classmethod
    def execute(cls, checkpoint: str, tokenizer: str, picture_size: int = 0) -> io.NodeOutput:
        model = load_model(*folders.resolve(checkpoint, tokenizer), picture_size)
        if model.note:
            tell(cls, model.note)
        return io.NodeOutput(model)
