"""AR Outpaint: a run that draws what is around an image."""

import torch
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..imaging.controls import SOFTEST, WIDEST, margins, within
from ..imaging.editing import BLENDED, Edit
from ..sampling.loops import Grid, grids_of, picture_size
from ..sampling.pixels import filled
from .checked import Node
from .compat import schema, widget
from .edit import SOFTNESS, edited, edited_output, seam_widget
from .inputs.images import encode_images, fit_image
from .types import Sampling, SamplingLink

SIDES = ("left", "top", "right", "bottom")


class AROutpaint(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AROutpaint",
            display_name="AR Outpaint",
            category="AR Guidance/edit",
            description="Makes an image smaller within the model's frame and draws what is around it. The class or prompt"
            " of the run says what comes there.",
            search_aliases=["outpainting", "extend", "uncrop", "pad"],
            inputs=[
                SamplingLink.Input("ar_sampling", tooltip="From AR Sampler or a guidance node."),
                io.Image.Input("image", tooltip="The image to continue."),
                *(
                    widget(
                        io.Float,
                        side,
                        default=0.25,
                        min=0.0,
                        max=WIDEST,
                        step=0.01,
                        tooltip=f"Share of the new image that is drawn at its {side}. 0 = the old image reaches to this"
                        " side. Rounded to whole tokens. Large: little of the old image is left to go by.",
                    )
                    for side in SIDES
                ),
                widget(io.Int, "soft_edge", **SOFTNESS),
                widget(
                    io.Boolean,
                    "keep_outside",
                    default=True,
                    tooltip="On: the old image's pixels stay as they are, exactly. Off: they come out of the image"
                    " tokenizer like the rest, nearly the same.",
                ),
                seam_widget(),
            ],
            outputs=[edited_output()],
        )

    @classmethod
    def execute(
        cls,
        ar_sampling: Sampling,
        image: Tensor,
        left: float,
        top: float,
        right: float,
        bottom: float,
        soft_edge: int,
        keep_outside: bool,
        seam: str = BLENDED,
    ) -> io.NodeOutput:
        model, grids = ar_sampling.model, grids_of(ar_sampling.model)
        columns = margins(grids[-1][1], left=left, right=right)
        rows = margins(grids[-1][0], top=top, bottom=bottom)
        if not any(columns + rows):
            raise ValueError(
                "there is nothing to draw: give at least one side a share of the image"
                f" (one token is {1 / max(grids[-1]):.3f} of it)"
            )
        frame, mask = framed(image, picture_size(model, grids), grids[-1], rows, columns)
        edit = Edit(
            source=encode_images(model, frame, grids),
            mask=mask,
            softness=int(within("soft_edge", soft_edge, 0, SOFTEST)),
            blend=seam == BLENDED,
            pixels=frame if keep_outside else None,
        )
        return io.NodeOutput(edited(ar_sampling, edit))


def framed(
    image: Tensor,
    size: tuple[int, int],
    grid: Grid,
    rows: tuple[int, int],
    columns: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """The image in its place, what is around continued from its border, (B, *size, 3); and a mask (1, *size) of that."""
    cell = size[0] // grid[0], size[1] // grid[1]
    top, bottom = rows[0] * cell[0], size[0] - rows[1] * cell[0]
    left, right = columns[0] * cell[1], size[1] - columns[1] * cell[1]
    small = fit_image(image, (bottom - top, right - left))
    frame, mask = torch.zeros(len(image), *size, 3), torch.ones(1, *size)
    frame[:, top:bottom, left:right] = small
    mask[:, top:bottom, left:right] = 0
    return filled(frame.movedim(-1, 1), mask).movedim(1, -1), mask
