"""AR Region and AR Blend: several conditions in one image."""

from comfy_api.v0_0_2 import io
from torch import Tensor

from ..conditioning.base import Condition
from ..conditioning.compose import add_region, blend, checked_mask, softened
from ..guidance.base import settings
from ..sampling.regions import Region
from .checked import Node
from .compat import schema, widget
from .inputs.setting import number_widget
from .types import Conditioning

CATEGORY = "AR Guidance/compose"


def _span() -> list[io.Input]:
    """The widgets that say when in the run a condition holds."""
    return [number_widget(field) for field in settings(Region)]


def _composed() -> io.Output:
    return Conditioning.Output(
        "composed",  # older hosts refuse an id that an input has
        display_name="AR_CONDITIONING",
        tooltip="All of it as one image: for AR Sampler, or for another AR Region or AR Blend.",
    )


class ARRegion(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARRegion",
            display_name="AR Region",
            category=CATEGORY,
            description="Draws something else in a part of the image: a class or prompt of its own inside a mask. Chain"
            " several for several regions. Where regions overlap they share the place; where there is none, the first"
            " condition is drawn.",
            search_aliases=[
                "regional prompt",
                "area prompt",
                "attention couple",
                "mask",
                "compose",
            ],
            inputs=[
                Conditioning.Input(
                    "ar_conditioning",
                    tooltip="What to generate where no region is; from a condition node, or from another AR Region to add"
                    " one more.",
                ),
                Conditioning.Input(
                    "ar_region",
                    tooltip="What to generate inside the mask. With its own negative, if it has one.",
                ),
                io.Mask.Input(
                    "mask",
                    tooltip="White = inside. A mask of another size or shape is stretched over the image. One for all"
                    " images, or one for each class or prompt.",
                ),
                widget(
                    io.Float,
                    "weight",
                    default=1.0,
                    min=0.0,
                    max=10.0,
                    step=0.05,
                    tooltip="How much the region counts. 1 = inside the mask only the region is drawn. Below: mixed with what is"
                    " around it. Above: stronger than other regions where they overlap. 0 = absent.",
                ),
                widget(
                    io.Int,
                    "soft_edge",
                    default=0,
                    min=0,
                    max=1024,
                    tooltip="Pixels of the mask over which the region fades, half of them inside. 0: as painted. Too many: the"
                    " region loses its shape.",
                ),
                *_span(),
            ],
            outputs=[_composed()],
        )

    @classmethod
    def execute(
        cls,
        ar_conditioning: Condition,
        ar_region: Condition,
        mask: Tensor,
        weight: float = 1.0,
        soft_edge: int = 0,
        start: float = 0.0,
        end: float = 1.0,
    ) -> io.NodeOutput:
        region = Region(softened(checked_mask(mask), soft_edge), weight, start, end)
        return io.NodeOutput(add_region(ar_conditioning, ar_region, region))


class ARBlend(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARBlend",
            display_name="AR Blend",
            category=CATEGORY,
            description="Mixes two classes or prompts everywhere in the image, or lets one hand over to the other during the"
            " run: the first draws the coarse layout, the second the rest.",
            search_aliases=[
                "interpolate",
                "average",
                "prompt editing",
                "schedule",
                "hand over",
                "compose",
            ],
            inputs=[
                Conditioning.Input("ar_conditioning", tooltip="The first class or prompt."),
                Conditioning.Input("ar_second", tooltip="The second one."),
                widget(
                    io.Float,
                    "weight",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="How much of the second. 0 = only the first, 1 = only the second, between start and end.",
                ),
                *_span(),
            ],
            outputs=[_composed()],
        )

    @classmethod
    def execute(
        cls,
        ar_conditioning: Condition,
        ar_second: Condition,
        weight: float = 0.5,
        start: float = 0.0,
        end: float = 1.0,
    ) -> io.NodeOutput:
        return io.NodeOutput(blend(ar_conditioning, ar_second, Region(None, weight, start, end)))
