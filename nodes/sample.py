"""AR Sampler (describes a run) and AR Decode (runs it)."""

import logging
from dataclasses import replace

from comfy_api.v0_0_2 import io

from ..conditioning.base import Condition
from ..imaging import sizes
from ..imaging.viewer import CHOICES, FAST, published_schedule
from ..loaders.checkpoint import ARModel
from ..sampling.plan import SamplerSettings, facts
from .checked import Node
from .compat import numbers, schema, widget
from .execution.batches import MOST_AT_ONCE, used_seeds
from .execution.live import STATUS, live_sender
from .execution.provenance import remember
from .execution.rescue import HAND_ON, TO_TEMP, node_text, note_handed_on, times_handed_on
from .execution.run import View, harmless, run_sampling
from .inputs.presets import preset_notes, preset_widget
from .inputs.setting import seed_widget
from .types import Conditioning, Model, Sampling, SamplingLink, TokensLink, TraceLink

PUBLISHED = -1
AS_PUBLISHED, ON, OFF, AUTO = "family default", "on", "off", "auto"
FULL, EIGHT_BITS = "full", "8 bits"


class ARSampler(Node):
    parses = frozenset({"size"})

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARSampler",
            display_name="AR Sampler",
            category="AR Guidance",
            description="Describes a run: model, condition, seed, how tokens are drawn. Nothing is computed yet: add"
            " guidance nodes behind it, then AR Decode, which runs it. One sampler may feed several guidance chains.",
            search_aliases=["VAR sampler", "autoregressive sampler"],
            inputs=[
                Model.Input("ar_model", tooltip="From AR Load Checkpoint."),
                Conditioning.Input("ar_conditioning", tooltip="What to generate."),
                seed_widget(
                    "seed",
                    "Same seed, same image on the same computer. Image i of a batch has its own random numbers,"
                    " whatever the batch size. Processors round slightly differently for other batch sizes: for exactly the"
                    " same image, bit for bit, set images_at_once of AR Decode to 1.",
                ),
                widget(
                    io.Int,
                    "batch_size",
                    default=1,
                    min=1,
                    max=1024,
                    tooltip="Images of each class.",
                ),
                widget(
                    io.Float,
                    "temperature",
                    default=float(PUBLISHED),
                    min=float(PUBLISHED),
                    max=4.0,
                    step=0.05,
                    tooltip="Below 1: safer, plainer. Above 1: wilder, then noise. 0 = always the likeliest token,"
                    " auto (-1) = what the model's authors published (1 for most models, 0.5 for Infinity 2B).",
                ),
                widget(
                    io.Int,
                    "top_k",
                    default=PUBLISHED,
                    min=PUBLISHED,
                    max=1 << 18,
                    tooltip="Draw only from the k likeliest tokens. Small: clean but repetitive. 0 = all tokens,"
                    " auto (-1) = what the model's authors published.",
                ),
                widget(
                    io.Float,
                    "top_p",
                    default=float(PUBLISHED),
                    min=float(PUBLISHED),
                    max=1.0,
                    step=0.01,
                    tooltip="Draw only from the likeliest tokens that together reach this probability. Small: clean but"
                    " repetitive. 1 = all tokens, auto (-1) = what the model's authors published.",
                ),
                widget(
                    io.Float,
                    "min_p",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Leave out tokens less likely than this share of the likeliest one. 0 = off; near 1 = greedy.",
                    advanced=True,
                ),
                widget(
                    io.Combo,
                    "size",
                    options=sizes.choices(),
                    default=sizes.MODEL_DEFAULT,
                    optional=True,
                    tooltip="Width × height of the image. Most models make one size only; Infinity makes many, LlamaGen"
                    " 256, 384 or 512. A size the model cannot make is refused, naming the nearest it can; one far from what"
                    " it was trained for looks poor.",
                ),
                widget(
                    io.String,
                    "temperatures",
                    default="",
                    optional=True,
                    tooltip="A temperature for every step, separated by commas, in place of the one above; for scale-wise"
                    " models. Empty = one for all. Low numbers at the end make details calmer.",
                    advanced=True,
                ),
                widget(
                    io.Combo,
                    "smooth",
                    options=[AS_PUBLISHED, ON, OFF],
                    default=AS_PUBLISHED,
                    optional=True,
                    tooltip="Mix likely codes instead of drawing one (more_smooth of VAR, Switti and HART). On: softer,"
                    " cleaner images with less texture. Off: crisper, noisier ones.",
                    advanced=True,
                ),
                widget(
                    io.Combo,
                    "parallel",
                    options=[AUTO, OFF],
                    default=AUTO,
                    optional=True,
                    tooltip="For models that draw token by token. 'auto': guess several tokens ahead and check them in one"
                    " pass, where that is faster; the image is the same. Only in full precision, and not with SoftCFG or"
                    " APG, which need every token before the next. 'off': one token a pass.",
                    advanced=True,
                ),
                preset_widget(),
                widget(
                    io.Combo,
                    "cache",
                    options=[FULL, EIGHT_BITS],
                    default=FULL,
                    optional=True,
                    tooltip="How the model remembers what it has drawn. '8 bits' takes 0.56 of that memory in half precision and 0.3 in"
                    " full precision, which counts in large images and batches; it is slower, and rounding makes a different"
                    " image from 'full'. Measured in docs/performance.md.",
                    advanced=True,
                ),
            ],
            outputs=[
                SamplingLink.Output(
                    "ar_sampling",
                    display_name="AR_SAMPLING",
                    tooltip="The described run: for guidance nodes or AR Decode.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        ar_model: ARModel,
        ar_conditioning: Condition,
        seed: int,
        batch_size: int,
        temperature: float,
        top_k: int,
        top_p: float,
        min_p: float,
        size: str = sizes.MODEL_DEFAULT,
        temperatures: str = "",
        smooth: str = AS_PUBLISHED,
        parallel: str = AUTO,
        preset: str = "",
        cache: str = FULL,
    ) -> io.NodeOutput:
        notes = preset_notes(preset, ar_model.family.name, ar_model.config.width)
        ar_conditioning.check(ar_model)
        wanted = sizes.parse(size)
        model = ar_model if wanted is None else ar_model.at(*wanted)
        sampler_settings = SamplerSettings(
            temperature=published_or("temperature", temperature),
            temperatures=numbers(temperatures),
            top_k=None if top_k == PUBLISHED else top_k,
            top_p=published_or("top_p", top_p),
            min_p=min_p,
            smooth=None if smooth == AS_PUBLISHED else smooth == ON,
            parallel=parallel == AUTO,
            eight_bit_cache=cache == EIGHT_BITS,
        )
        made = Sampling(model, ar_conditioning, seed, batch_size, sampler_settings)
        return io.NodeOutput(replace(made, notes=notes))


def published_or(name: str, value: float) -> float | None:
    """None for -1, what the model's authors published; other numbers below 0 mean nothing.

    Raises:
        ValueError: such a number, which only a link brings.
    """
    if value == PUBLISHED:
        return None
    if value < 0:
        raise ValueError(
            f"{name} is {value:g}: below 0 there is only {PUBLISHED}, which stands for what the model's authors published"
        )
    return value


class ARDecode(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARDecode",
            display_name="AR Decode",
            category="AR Guidance",
            description="Runs the sampler with its guidance chain and decodes the tokens into images. Shows progress and,"
            " if previews are on in ComfyUI, the image after every scale.",
            search_aliases=["AR generate", "VAR decode"],
            inputs=[
                SamplingLink.Input(
                    "ar_sampling", tooltip="From AR Sampler or the last guidance node."
                ),
                widget(
                    io.Combo,
                    "viewer",
                    options=list(CHOICES),
                    default=FAST,
                    optional=True,
                    tooltip="What the viewer on this node shows of the scales on the way. 'fast': their colours, which"
                    " cost next to nothing. 'decoded': every scale decoded, which takes longer. 'off': no viewer.",
                ),
                widget(
                    io.Boolean,
                    "candidates",
                    default=False,
                    optional=True,
                    tooltip="On: the viewer shows, for the token under the mouse, the five likeliest tokens before and after"
                    " guidance. Makes the result larger. Not for Infinity, whose tokens are bits.",
                    advanced=True,
                ),
                widget(
                    io.Combo,
                    "if_stopped",
                    options=[TO_TEMP, HAND_ON],
                    default=TO_TEMP,
                    optional=True,
                    advanced=True,
                    tooltip="When a large batch is cancelled or fails half-way. 'save ... to temp': the run stops, finished"
                    " images lie in ComfyUI's temp folder. 'hand on ...': the graph goes on with the finished ones.",
                ),
                widget(
                    io.Int,
                    "images_at_once",
                    default=0,
                    min=0,
                    max=MOST_AT_ONCE,
                    optional=True,
                    advanced=True,
                    tooltip="How many images of a batch are made in one pass. 0: as many as are fast and fit into memory. 1:"
                    " one after the other, each exactly as it is alone, bit for bit; slower for small models and on GPUs.",
                ),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.extra_pnginfo],
            is_output_node=True,  # it runs with nothing behind it: the viewer shows the result
            has_intermediate_output=True,  # the viewer's contents come back when the page is reloaded
            outputs=[
                io.Image.Output("image", display_name="IMAGE", tooltip="The finished images."),
                TraceLink.Output(
                    "ar_trace",
                    display_name="AR_TRACE",
                    tooltip="What the guidance did to every token: for AR Guidance Map and AR Guidance Metrics.",
                ),
                TokensLink.Output(
                    "ar_tokens",
                    display_name="AR_TOKENS",
                    tooltip="What the images are decoded from: to vary, change or save them.",
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: object) -> object:
        """The host keeps what a node gave; what it handed on half-way is not what the same run gives next time."""
        return times_handed_on(cls.own_id())

    @classmethod
    def own_id(cls) -> str | None:
        """The node's id in the graph, where the host says it."""
        return getattr(cls.hidden, "unique_id", None)

    @classmethod
    def execute(
        cls,
        ar_sampling: Sampling,
        viewer: str = FAST,
        candidates: bool = False,
        if_stopped: str = TO_TEMP,
        images_at_once: int = 0,
    ) -> io.NodeOutput:
        if images_at_once < 0:
            raise ValueError(f"images_at_once must be 0 (automatic) or more, not {images_at_once}")
        node = cls.own_id()
        view = View(viewer, candidates, live_sender(node), live_sender(node, STATUS))
        hand_on, tell = if_stopped == HAND_ON, node_text(cls.hidden)
        made = run_sampling(ar_sampling, view, hand_on, tell, images_at_once)
        note_handed_on(node, len(made.image), ar_sampling.batch)
        harmless(lambda: remember(cls.hidden, ar_sampling, len(made.image)))
        output = io.NodeOutput(made.image, made.trace, made.tokens)
        run = facts(ar_sampling.model, ar_sampling.sampler_settings)
        for note in made.notes:
            logging.warning("[AR Guidance] %s", note)
        output.ui = {"ar_schedule": [published_schedule(run)], "ar_notes": list(made.notes)}
        output.ui["ar_seeds"] = [used_seeds(ar_sampling)]
        if made.shown:
            output.ui["ar_viewer"] = [made.shown]
        return output
