"""AR Keep Scales and AR Inpaint: a run that keeps part of an image there already is."""

import math
from dataclasses import replace

from comfy_api.v0_0_2 import io
from torch import Tensor

from ..imaging.controls import BY_VARIATION, SOFTEST, share_kept, within
from ..imaging.editing import BLENDED, TOKENS_ONLY, Edit, row_of
from ..imaging.tokens import ImageTokens
from ..sampling.loops import grids_of, picture_size
from ..sampling.pixels import filled
from .checked import Node
from .compat import schema, widget
from .inputs.images import CROP, STRETCH, decode_tokens, encode_images, fit_image, fit_mask
from .types import Sampling, SamplingLink, TokensLink

AS_IT_IS, FROM_AROUND = "as it is", "filled from around"


def edited(sampling: Sampling, edit: Edit) -> Sampling:
    """The sampling with an edit.

    Raises:
        ValueError: it has one already, or the tokens are not its model's.
    """
    if sampling.edit is not None:
        raise ValueError(
            "this run already keeps tokens of an image: use one AR Keep Scales, AR Inpaint or AR Outpaint per AR Decode."
            " To vary an in-painting at fixed layout, lower AR Inpaint's variation"
        )
    edit.source.check(sampling.model, grids_of(sampling.model))
    return replace(sampling, edit=edit)


def edited_output() -> io.Output:
    """Of every node that changes an image."""
    return SamplingLink.Output(
        "edited_sampling",
        display_name="AR_SAMPLING",
        tooltip="The same run, which now starts from the old image: for guidance nodes or AR Decode.",
    )


def variation_widget(default: float, what: str) -> object:
    return widget(
        io.Float,
        "variation",
        default=default,
        min=0.0,
        max=1.0,
        step=0.01,
        tooltip=f"How much of {what} is drawn again. 0 = nothing changes; low: only fine detail; high: all but the coarsest"
        " layout; 1 = everything. Models without scales keep that much less of its beginning.",
    )


class ARKeepScales(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARKeepScales",
            display_name="AR Keep Scales",
            category="AR Guidance/edit",
            description="Makes variations of an image: keeps its coarse scales, which hold layout and colour, and draws the"
            " finer ones again. Class, prompt, seed and guidance may differ from those it was made with.",
            search_aliases=["variation", "image to image", "img2img", "denoise", "refine"],
            inputs=[
                SamplingLink.Input("ar_sampling", tooltip="From AR Sampler or a guidance node."),
                TokensLink.Input(
                    "ar_tokens",
                    tooltip="The images to vary: from AR Decode, AR Image to Tokens or AR Load Tokens.",
                ),
                variation_widget(0.5, "the image"),
                widget(
                    io.Int,
                    "keep_scales",
                    default=BY_VARIATION,
                    min=BY_VARIATION,
                    max=64,
                    tooltip="Keep exactly this many scales, in place of variation. Few: only the rough layout stays. Many:"
                    " only fine detail changes. -1 = use variation.",
                ),
            ],
            outputs=[edited_output()],
        )

    @classmethod
    def execute(
        cls,
        ar_sampling: Sampling,
        ar_tokens: ImageTokens,
        variation: float,
        keep_scales: int = BY_VARIATION,
    ) -> io.NodeOutput:
        kept = share_kept(ar_tokens, variation, keep_scales)
        return io.NodeOutput(edited(ar_sampling, Edit(ar_tokens, kept)))


SOFTNESS = {
    "default": 8,
    "min": 0,
    "max": SOFTEST,
    "tooltip": "Pixels over which the new part fades in, inwards from the mask's edge. 0: a hard edge, seams show. Large: only"
    " the middle of the mask is all new. About the pixels of one token (16 for most models) is a good value.",
}


def seam_widget() -> object:
    return widget(
        io.Combo,
        "seam",
        options=[BLENDED, TOKENS_ONLY],
        default=BLENDED,
        tooltip="'blend features': the model sees the old image outside the mask at every scale, and old and new fade"
        " into each other. 'tokens only': old tokens outside, new ones inside, as VAR's authors publish it; coarse"
        " tokens reach a little over the edge.",
        advanced=True,
    )


class ARInpaint(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARInpaint",
            display_name="AR Inpaint",
            category="AR Guidance/edit",
            description="Draws the masked part of an image again and keeps the rest. Starts from tokens of an earlier run or"
            " from any image. The class or prompt of the run says what comes into the mask.",
            search_aliases=["inpainting", "mask", "edit", "erase", "replace"],
            inputs=[
                SamplingLink.Input("ar_sampling", tooltip="From AR Sampler or a guidance node."),
                io.Mask.Input(
                    "mask",
                    tooltip="White = draw again. Any size: it is stretched over the image. One for all images or one"
                    " for each.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The image to change. It is fitted to the model's size.",
                ),
                TokensLink.Input(
                    "ar_tokens",
                    optional=True,
                    tooltip="Tokens of the image, from AR Decode or AR Load Tokens: better than the image, because nothing is"
                    " lost. With both, the image only gives the pixels outside the mask.",
                ),
                variation_widget(1.0, "the masked part"),
                widget(io.Int, "soft_edge", **SOFTNESS),
                widget(
                    io.Boolean,
                    "keep_outside",
                    default=True,
                    tooltip="On: pixels outside the mask are those of the image, exactly. Off: they come out of the image"
                    " tokenizer like the rest, nearly the same.",
                ),
                widget(
                    io.Combo,
                    "under_mask",
                    options=[AS_IT_IS, FROM_AROUND],
                    default=AS_IT_IS,
                    tooltip="What the model may see of the masked part from an image. 'as it is': its colours guide the"
                    " coarsest scale. 'filled from around': it is smoothed over first, to remove something for good.",
                    advanced=True,
                ),
                seam_widget(),
                widget(
                    io.Combo,
                    "fit",
                    options=[CROP, STRETCH],
                    default=CROP,
                    tooltip="How an image of another shape is fitted to the model's size: 'crop' cuts off two sides, 'stretch'"
                    " distorts it.",
                    advanced=True,
                ),
            ],
            outputs=[edited_output()],
        )

    @classmethod
    def execute(
        cls,
        ar_sampling: Sampling,
        mask: Tensor,
        variation: float,
        soft_edge: int,
        keep_outside: bool,
        under_mask: str = AS_IT_IS,
        seam: str = BLENDED,
        fit: str = CROP,
        image: Tensor | None = None,
        ar_tokens: ImageTokens | None = None,
    ) -> io.NodeOutput:
        model, grids = ar_sampling.model, grids_of(ar_sampling.model)
        size = picture_size(model, grids)
        drawn_on = size if image is None else (image.shape[1], image.shape[2])
        marked = fit_mask(mask, drawn_on, size, fit)
        check_mask(marked)
        pixels = None if image is None else fit_image(image, size, fit)
        if ar_tokens is None:
            if pixels is None:
                raise ValueError("connect the image to change: an image, its tokens, or both")
            shown = pixels
            if under_mask == FROM_AROUND:
                shown = hide(pixels, marked, ar_sampling.whole)
            ar_tokens = encode_images(model, shown, grids)
        if keep_outside and pixels is None:
            pixels = decode_tokens(model, ar_tokens)
        edit = Edit(
            source=ar_tokens,
            kept=1 - within("variation", variation, 0, 1),
            mask=marked,
            softness=int(within("soft_edge", soft_edge, 0, SOFTEST)),
            blend=seam == BLENDED,
            pixels=pixels if keep_outside else None,
        )
        return io.NodeOutput(edited(ar_sampling, edit))


def check_mask(mask: Tensor) -> None:
    """Raise ValueError when a mask (M, H, W) marks nothing to draw."""
    empty = [str(i + 1) for i, one in enumerate(mask) if not (one >= 0.5).any()]
    if empty:
        which = "the mask is" if len(mask) == 1 else f"mask {', '.join(empty)} is"
        raise ValueError(
            f"{which} empty, so nothing would change: paint white what to generate again (a mask from an image's alpha channel"
            " may have to be inverted)"
        )


def hide(pixels: Tensor, mask: Tensor, whole: int) -> Tensor:
    """IMAGE (P, H, W, 3) with what a mask (M, H, W) marks filled from around it: as many images as both together need.

    `whole`: images of the batch; each takes the image and the mask it has without filling, see `row_of`.

    Raises:
        ValueError: the batch is no multiple of both, or a mask leaves nothing to fill from.
    """
    row_of(len(pixels), whole, (), "images to start from")
    row_of(len(mask), whole, (), "masks")
    full = [str(i + 1) for i, one in enumerate(mask) if (one > 0).all()]
    if full:
        which = "the mask covers" if len(mask) == 1 else f"mask {', '.join(full)} covers"
        raise ValueError(
            f"{which} the whole image, so there is nothing around it to fill it from: set under_mask to '{AS_IT_IS}', leave"
            " part of the image unmasked, or take AR Inpaint out to draw all of it again"
        )
    count = math.lcm(len(pixels), len(mask))
    shown = pixels[row_of(len(pixels), count, range(count), "images")].movedim(-1, 1)
    hidden = (mask[row_of(len(mask), count, range(count), "masks")] > 0).float()
    return filled(shown, hidden).movedim(1, -1)
