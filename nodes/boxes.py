"""AR Box Mask: the host's bounding boxes where the pack takes masks."""

from comfy_api.v0_0_2 import io
from torch import Tensor

from ..conditioning.boxes import box_masks, boxes_of
from .checked import Node
from .compat import schema, widget

# A wire on every host: as a widget the box would be five values, and only some frontends can draw it.
BoxLink = io.Custom("BOUNDING_BOX")
WIRE = {"forceInput": True}


class ARBoxMask(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARBoxMask",
            display_name="AR Box Mask",
            category="AR Guidance/compose",
            description="Makes a mask from bounding boxes: ComfyUI's Bounding Box, several drawn in Create Bounding Boxes, or"
            " those a detector found. For AR Region, AR Inpaint, AR Guidance Map and AR Guidance Metrics.",
            search_aliases=["bounding box", "bbox", "rectangle", "region", "mask"],
            inputs=[
                BoxLink.Input(
                    "boxes",
                    extra_dict=WIRE,
                    tooltip="One box, or several. ComfyUI 0.3.75 has no node that gives any.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The image the boxes were found in: the mask gets its size.",
                ),
                _side("width"),
                _side("height"),
                widget(
                    io.Int,
                    "box",
                    default=0,
                    min=0,
                    max=1000,
                    tooltip="Which box, counted from 1: one AR Box Mask and one AR Region for each box gives every box its own"
                    " class or prompt. 0 = all of them as one mask.",
                ),
            ],
            outputs=[
                io.Mask.Output(
                    "mask",
                    display_name="MASK",
                    tooltip="White inside. One mask for each image that the boxes were found in.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        boxes: object,
        image: Tensor | None = None,
        width: int = 1024,
        height: int = 1024,
        box: int = 0,
    ) -> io.NodeOutput:
        size = (height, width) if image is None else (image.shape[1], image.shape[2])
        return io.NodeOutput(box_masks(boxes_of(boxes), size, box))


def _side(name: str) -> io.Input:
    """A side of the canvas."""
    return widget(
        io.Int,
        name,
        default=1024,
        min=1,
        max=16384,
        tooltip=f"The {name} in pixels of the canvas the boxes were drawn on. Counts only while no image is connected.",
    )
