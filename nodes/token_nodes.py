"""AR Image to Tokens and AR Tokens to Image: the two halves of an image tokenizer."""

from comfy_api.v0_0_2 import io
from torch import Tensor

from ..imaging.sizes import nearest
from ..imaging.tokens import ImageTokens
from ..loaders.checkpoint import ARModel
from ..sampling.loops import grids_of
from .checked import Node
from .compat import schema, widget
from .inputs.images import CROP, STRETCH, decode_tokens, encode_images, fit_image
from .types import Model, TokensLink


class ARImageToTokens(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARImageToTokens",
            display_name="AR Image to Tokens",
            category="AR Guidance/edit",
            description="Turns images into a model's tokens, to vary or change them. An image is fitted to the model's"
            " nearest size first.",
            search_aliases=["encode", "VAE encode", "tokenize"],
            inputs=[
                io.Image.Input("image", tooltip="Any images, of any size."),
                Model.Input("ar_model", tooltip="The model whose image tokenizer to use."),
                widget(
                    io.Combo,
                    "fit",
                    options=[CROP, STRETCH],
                    default=CROP,
                    tooltip="How an image of another shape is fitted to the model's size: 'crop' cuts off two sides, 'stretch'"
                    " distorts it.",
                ),
            ],
            outputs=[
                TokensLink.Output(
                    "ar_tokens",
                    display_name="AR_TOKENS",
                    tooltip="The tokens of the images: for AR Keep Scales, AR Inpaint or AR Save Tokens.",
                )
            ],
        )

    @classmethod
    def execute(cls, image: Tensor, ar_model: ARModel, fit: str = CROP) -> io.NodeOutput:
        size = nearest(ar_model, image.shape[1], image.shape[2])
        fitted, model = fit_image(image, size, fit), ar_model.at(*size)
        return io.NodeOutput(encode_images(model, fitted, grids_of(model)))


class ARTokensToImage(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARTokensToImage",
            display_name="AR Tokens to Image",
            category="AR Guidance/edit",
            description="Decodes tokens into images: those of AR Decode, AR Image to Tokens or AR Load Tokens.",
            search_aliases=["decode", "VAE decode", "detokenize"],
            inputs=[
                TokensLink.Input("ar_tokens", tooltip="The tokens."),
                Model.Input(
                    "ar_model", tooltip="A model with the image tokenizer they were made for."
                ),
            ],
            outputs=[io.Image.Output("image", display_name="IMAGE", tooltip="The decoded images.")],
        )

    @classmethod
    def execute(cls, ar_tokens: ImageTokens, ar_model: ARModel) -> io.NodeOutput:
        return io.NodeOutput(decode_tokens(ar_model, ar_tokens))
