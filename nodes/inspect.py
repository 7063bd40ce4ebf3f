"""AR Guidance Map and AR Guidance Metrics: what the guidance did, as images and as numbers."""

from comfy_api.v0_0_2 import io
from comfy_execution.graph_utils import ExecutionBlocker
from torch import Tensor

from ..analysis.measure import SHARE, SOFTMAX, UNSEEN, Measured, check_subject, measure
from ..imaging import report
from ..imaging.canvas import COLOUR_MAPS
from ..imaging.image_trace import ImageTrace
from ..imaging.map_names import MAPS
from ..imaging.maps import MapStyle, draw_maps
from ..imaging.step_sheet import draw_sheets
from ..imaging.subject import subject_from_border
from .checked import Node
from .compat import schema, widget
from .types import TraceLink

PER_SCALE, COMBINED, ON_SHEET = "one per scale", "combined", "all on one sheet"
SCALED, RAW = "scaled (divided by the scale)", "raw (what was added)"


class ARGuidanceMap(Node):
    parses = frozenset({"map"})

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARGuidanceMap",
            display_name="AR Guidance Map",
            category="AR Guidance/inspect",
            description="Shows where in the image the guidance pushed, scale by scale, as a heat map over the image, with its"
            " evenness and divergence and the scale's weight in their mean.",
            search_aliases=["heat map", "attention map", "guidance heatmap"],
            inputs=[
                TraceLink.Input(
                    "ar_trace", tooltip="From AR Decode, AR EDM2 Decode or AR Diffusion: Trace."
                ),
                io.Image.Input("image", tooltip="The images of the same run."),
                widget(
                    io.Combo,
                    "map",
                    options=list(MAPS),
                    default="added",
                    tooltip="'nudge': how far apart the predictions with and without the class are. 'added': how hard"
                    " all guidance together pushed. 'confidence', 'entropy': how sure the model is. 'attention': what IGG"
                    " looks at. '... direction': what one guidance pushes, before its scale. '2', '3', '4': of the second,"
                    " third, fourth such node in the chain.",
                ),
                widget(
                    io.Combo,
                    "scales",
                    options=[PER_SCALE, COMBINED, ON_SHEET],
                    default=PER_SCALE,
                    tooltip="One drawing for every scale (of a diffusion model: every step), one for the whole run (mean over"
                    " the scales, weighted by their tokens), or all of them on one sheet, with a frame around those that have"
                    " guidance. A token-by-token model has one drawing either way.",
                ),
                widget(
                    io.Float,
                    "opacity",
                    default=0.6,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="Low: the image shines through. 1 = only the map.",
                ),
                widget(
                    io.Combo,
                    "colours",
                    options=list(COLOUR_MAPS),
                    default="viridis",
                    tooltip="From small to large: viridis purple to yellow, magma black to white.",
                ),
                widget(
                    io.Boolean,
                    "shared_range",
                    default=False,
                    tooltip="On: all drawings use the same colours for the same numbers, so scales can be compared. Off:"
                    " each uses all colours.",
                    advanced=True,
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="White on the subject, for the divergence written above each drawing: one mask for all images,"
                    " or one for each. Without it, the subject is what differs from the colour of the image's border.",
                ),
                widget(
                    io.Combo,
                    "distribution",
                    options=[SOFTMAX, SHARE],
                    default=SOFTMAX,
                    optional=True,
                    tooltip="How evenness and divergence see the map; see AR Guidance Metrics.",
                    advanced=True,
                ),
            ],
            outputs=[
                io.Image.Output(
                    "maps",
                    display_name="IMAGE",
                    tooltip="The drawings: for every image one per scale, or one in all.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        ar_trace: ImageTrace,
        image: Tensor,
        map: str,
        scales: str,
        opacity: float,
        colours: str,
        shared_range: bool = False,
        mask: Tensor | None = None,
        distribution: str = SOFTMAX,
    ) -> io.NodeOutput:
        ar_trace.check(image)
        if mask is None:
            subject = subject_from_border(image.cpu())
        else:
            subject = subject_of(mask, ar_trace.trace.batch)
        style = MapStyle(opacity, colours, shared_range, distribution)
        if scales == ON_SHEET:
            return io.NodeOutput(draw_sheets(ar_trace.trace, image, map, style))
        maps = draw_maps(ar_trace.trace, image, map, style, scales == COMBINED, subject)
        return io.NodeOutput(maps)


class ARGuidanceMetrics(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARGuidanceMetrics",
            display_name="AR Guidance Metrics",
            category="AR Guidance/inspect",
            description="Measures a run: how evenly the guidance pushed all parts of the image, how differently it"
            " treated the background, and how sure the model was. Numbers, JSON and a plot.",
            search_aliases=["evenness", "divergence", "entropy"],
            inputs=[
                TraceLink.Input(
                    "ar_trace", tooltip="From AR Decode, AR EDM2 Decode or AR Diffusion: Trace."
                ),
                widget(
                    io.Combo,
                    "measure",
                    options=[SCALED, RAW],
                    default=RAW,
                    tooltip="'raw' measures what was added in the end, as the paper's tables do: it depends on the"
                    " scale. 'scaled' measures what each guidance pushes towards, before its scale.",
                ),
                widget(
                    io.Int,
                    "resampling_seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFF,
                    tooltip="The divergence draws background tokens at random; this fixes which.",
                    advanced=True,
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="White on the subject, black on the background; any size. One for all images or one each."
                    " Without it there is no divergence.",
                ),
                widget(
                    io.Combo,
                    "distribution",
                    options=[SOFTMAX, SHARE],
                    default=SOFTMAX,
                    optional=True,
                    tooltip="How the nudge on each token becomes a distribution over the tokens. 'softmax' of its length"
                    " divided by the square root of the vocabulary's size: the stronger the guidance, the more it"
                    " gathers. 'share of norm' looks at shares only, whatever the scale. The paper names neither.",
                    advanced=True,
                ),
            ],
            outputs=[
                io.Float.Output(
                    "evenness",
                    display_name="evenness",
                    tooltip="How evenly guidance pushed all parts of the images: 1 = all alike. Lower is better. Mean over the"
                    " run.",
                ),
                io.Float.Output(
                    "divergence",
                    display_name="divergence",
                    tooltip="How differently guidance treated subject and background: 0 = alike. Higher is better. Mean over"
                    " the run; needs a mask.",
                ),
                io.Float.Output(
                    "entropy",
                    display_name="entropy",
                    tooltip="How unsure the model was: 0 = certain, 1 = every token equally likely. Mean over the run.",
                ),
                io.String.Output(
                    "json",
                    display_name="JSON",
                    tooltip="All numbers, step by step and for each image.",
                ),
                io.Image.Output(
                    "plot", display_name="plot", tooltip="The numbers over the steps, as an image."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        ar_trace: ImageTrace,
        measure: str,
        resampling_seed: int = 0,
        mask: Tensor | None = None,
        distribution: str = SOFTMAX,
    ) -> io.NodeOutput:
        subject = None if mask is None else subject_of(mask, ar_trace.trace.batch)
        measured = metrics(ar_trace, measure == SCALED, subject, resampling_seed, distribution)
        diffusion = bool(ar_trace.trace.noise)
        numbers = [
            _output(measured, name, diffusion) for name in ("evenness", "divergence", "entropy")
        ]
        return io.NodeOutput(
            *numbers,
            report.metrics_json(ar_trace.trace, ar_trace.guidance, measured),
            report.metrics_plot(measured, ar_trace.trace),
        )


def metrics(
    image_trace: ImageTrace, scaled: bool, subject: Tensor | None, seed: int, spread: str = SOFTMAX
) -> Measured:
    """All metrics of a run; a subject that no grid can tell from the background is refused."""
    measured = measure(image_trace.trace, scaled, subject, seed, spread)
    guided = measured.mean("evenness") is not None
    if subject is not None and guided and measured.mean("divergence") is None:
        raise ValueError(UNSEEN)
    return measured


def subject_of(mask: Tensor, batch: int) -> Tensor:
    """A MASK (M, H, W) as True where the subject is, checked.

    Raises:
        ValueError: marks nothing or everything, or does not fit the number of images.
    """
    subject = mask.reshape(-1, *mask.shape[-2:]).cpu() > 0.5
    if len(subject) not in (1, batch):
        raise ValueError(
            f"there are {len(subject)} masks for {batch} images: give one for all, or one for each"
        )
    check_subject(subject)
    return subject


def _output(measured: Measured, name: str, diffusion: bool = False) -> float | ExecutionBlocker:
    """A number, or what stops the nodes behind an output that has none."""
    value = measured.mean(name)
    if value is not None:
        return value
    if name == "divergence" and not measured.divergence:
        return ExecutionBlocker("AR Guidance Metrics: the divergence needs a mask of the subject")
    if name == "entropy" and diffusion:
        return ExecutionBlocker(
            "AR Guidance Metrics: a diffusion model draws no tokens, so no entropy"
        )
    return ExecutionBlocker(f"AR Guidance Metrics: no guidance acted in this run, so no {name}")
