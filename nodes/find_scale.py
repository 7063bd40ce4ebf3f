"""AR Find Scale: the guidance scale at which evenness and divergence meet."""

from comfy_api.v0_0_2 import io
from torch import Tensor

from ..imaging import report
from .checked import Node
from .compat import schema, widget
from .execution.live import STATUS, live_sender
from .execution.probe import ScaleSearch, with_scale
from .inspect import subject_of
from .types import EDM2Sampling, Sampling, SamplingLink

AS_THEY_ARE, BY_SCALE = "as they are", "divided by the scale"
NO_SEARCH = (
    "AR Find Scale searches among runs of models that draw tokens, and this is one of an EDM2 diffusion model. To compare its"
    " scales, connect AR Sweep to the guidance node's scale and the images to AR Grid; AR Guidance Metrics gives evenness and"
    " divergence of each"
)
OWN_RANGES = "each on its own range"  # of workflows saved before the paper's text was at hand


class ARFindScale(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARFindScale",
            display_name="AR Find Scale",
            category="AR Guidance/inspect",
            description="Finds the scale of the last guidance node by trying several on the same seeds: the one at which"
            " evenness, which falls, and divergence, which rises as guidance gathers on the subject, are equal. It"
            " makes many small runs.",
            search_aliases=["best scale", "cfg search", "evenness divergence"],
            inputs=[
                SamplingLink.Input(
                    "ar_sampling",
                    tooltip="From the last guidance node, whose scale is to be found.",
                ),
                widget(
                    io.Float,
                    "min_scale",
                    default=1.0,
                    min=-20.0,
                    max=50.0,
                    step=0.05,
                    tooltip="Smallest scale to try. The curves must meet above it; how far below they begin changes nothing.",
                ),
                widget(
                    io.Float,
                    "max_scale",
                    default=16.0,
                    min=-20.0,
                    max=50.0,
                    step=0.05,
                    tooltip="Largest scale to try. The curves must meet below it; how far above they end changes nothing.",
                ),
                widget(
                    io.Int,
                    "probes",
                    default=7,
                    min=4,
                    max=24,
                    tooltip="Scales to try in each of the two passes. Few: a coarse answer. Many: a slow one.",
                ),
                widget(
                    io.Int,
                    "pictures",
                    default=8,
                    min=1,
                    max=256,
                    tooltip="Images of each class to measure on; replaces the sampler's batch size here. Few: the answer"
                    " depends on the seed, and below 6 in all nothing can be told from chance. The first pass makes a quarter of them.",
                ),
                widget(
                    io.Combo,
                    "compare",
                    options=[AS_THEY_ARE, BY_SCALE, OWN_RANGES],
                    default=AS_THEY_ARE,
                    tooltip="'as they are' compares the numbers. 'divided by the scale' divides both by the guidance's"
                    " scale at every step first, which moves the answer little. 'each on its own range' stretches both"
                    " curves to 0-1 over the scales tried: the answer then depends on the range and is never sure.",
                    advanced=True,
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="White on the subject: one mask for all images, or one for each. Without it, the subject is"
                    " what differs from the colour of the image's border, which suits drawings on a plain ground.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            outputs=[
                SamplingLink.Output(
                    "guided_sampling",
                    display_name="AR_SAMPLING",
                    tooltip="The same run with the scale that was found: for AR Decode.",
                ),
                io.Float.Output("scale", display_name="scale", tooltip="The scale that was found."),
                io.String.Output(
                    "message",
                    display_name="message",
                    tooltip="The answer in words; says so when the curves do not cross.",
                ),
                io.String.Output(
                    "json",
                    display_name="JSON",
                    tooltip="The numbers of every scale that was tried.",
                ),
                io.Image.Output(
                    "plot",
                    display_name="plot",
                    tooltip="The two curves over the scales, as an image.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        ar_sampling: Sampling,
        min_scale: float,
        max_scale: float,
        probes: int,
        pictures: int,
        compare: str = AS_THEY_ARE,
        mask: Tensor | None = None,
    ) -> io.NodeOutput:
        if isinstance(ar_sampling, EDM2Sampling):
            raise ValueError(NO_SEARCH)
        batch = pictures * ar_sampling.conditioning.count
        subject = None if mask is None else subject_of(mask, batch)
        own = compare == OWN_RANGES
        tell = live_sender(getattr(cls.hidden, "unique_id", None), STATUS)
        by_scale = compare == BY_SCALE
        search = ScaleSearch(
            ar_sampling, min_scale, max_scale, probes, pictures, own, subject, by_scale, tell
        )
        found = search.run()
        scale = round(found.scale, 2)
        answer = {"scale": scale, "message": found.message}
        answer["tried"] = [[p.scale, p.evenness, p.divergence] for p in found.probes]
        return io.NodeOutput(
            with_scale(ar_sampling, scale),
            scale,
            found.message,
            report.search_json(found),
            report.search_plot(found, own),
            ui={"ar_answer": [answer]},
        )
