"""AR Reveal Order: how a discrete diffusion run goes through its steps."""

from dataclasses import replace

from comfy_api.v0_0_2 import io

from ..sampling.reveal import Reveal
from .checked import Node
from .compat import schema, widget
from .types import Sampling, SamplingLink


class ARRevealOrder(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARRevealOrder",
            display_name="AR Reveal Order",
            category="AR Guidance",
            description="For VQ-Diffusion: in which order masked tokens become an image. Fewer, larger steps make it faster;"
            " the purity prior lets the tokens the model is surest of come first.",
            search_aliases=["VQ-Diffusion", "fast sampling", "purity prior", "fewer steps"],
            inputs=[
                SamplingLink.Input("ar_sampling", tooltip="From AR Sampler or a guidance node."),
                widget(
                    io.Int,
                    "stride",
                    default=1,
                    min=1,
                    max=50,
                    tooltip="1 = every step. 2 = every other step, half the time; larger: faster and coarser. Guidance"
                    " schedules run over the steps that are left.",
                ),
                widget(
                    io.Boolean,
                    "purity",
                    default=False,
                    tooltip="On: at every step the same number of tokens is revealed, those the model is surest of more"
                    " often first. Off: which are revealed is left to chance. Needs stride 1.",
                ),
                widget(
                    io.Float,
                    "purity_weight",
                    default=1.0,
                    min=0.0,
                    max=10.0,
                    step=0.1,
                    tooltip="How much safer the choice of sure tokens becomes. 0 = only their order changes. Too much:"
                    " plain, repetitive images. Acts only with purity on.",
                    advanced=True,
                ),
            ],
            outputs=[
                SamplingLink.Output(
                    "ordered_sampling",
                    display_name="AR_SAMPLING",
                    tooltip="The same run in this order: for guidance nodes or AR Decode.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        ar_sampling: Sampling,
        stride: int = 1,
        purity: bool = False,
        purity_weight: float = 1.0,
    ) -> io.NodeOutput:
        family = ar_sampling.model.family
        if family.kind != "discrete":
            raise ValueError(
                f"{ar_sampling.model.name} is a {family.title} model, whose tokens have an order of their own: AR Reveal"
                " Order is for VQ-Diffusion. Remove it"
            )
        settings = ar_sampling.sampler_settings
        settings = replace(settings, reveal=Reveal(stride, purity, purity_weight))
        return io.NodeOutput(replace(ar_sampling, sampler_settings=settings))
