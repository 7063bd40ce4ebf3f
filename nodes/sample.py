"""AR Sampler (describes a run) and AR Decode (runs it)."""

from comfy_api.v0_0_2 import io

from ..loaders.checkpoint import ARModel
from ..sampling.draw import Filters
from .compat import schema, widget
from .rescue import node_text
from .run import run_sampling
from .types import Condition, Conditioning, Model, Sampling, SamplingLink, TokensLink, TraceLink

PUBLISHED = -1
TO_TEMP, HAND_ON = "save finished pictures to temp", "hand on finished pictures"


class ARSampler(io.ComfyNode):
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
                Conditioning.Input("ar_conditioning", tooltip="What to draw."),
                widget(
                    io.Int,
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="Same seed, same picture. Picture i of a batch is the same whatever the batch size.",
                ),
                widget(
                    io.Int,
                    "batch_size",
                    default=1,
                    min=1,
                    max=1024,
                    tooltip="Pictures of each class.",
                ),
                widget(
                    io.Float,
                    "temperature",
                    default=1.0,
                    min=0.0,
                    max=4.0,
                    step=0.05,
                    tooltip="Below 1: safer, plainer. Above 1: wilder, then noise. 0 = always the likeliest token.",
                ),
                widget(
                    io.Int,
                    "top_k",
                    default=PUBLISHED,
                    min=PUBLISHED,
                    max=1 << 18,
                    tooltip="Draw only from the k likeliest tokens. Small: clean but repetitive. 0 = all tokens,"
                    " -1 = what the model's authors published.",
                ),
                widget(
                    io.Float,
                    "top_p",
                    default=float(PUBLISHED),
                    min=float(PUBLISHED),
                    max=1.0,
                    step=0.01,
                    tooltip="Draw only from the likeliest tokens that together reach this probability. Small: clean but"
                    " repetitive. 1 = all tokens, -1 = what the model's authors published.",
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
            ],
            outputs=[SamplingLink.Output("ar_sampling", display_name="AR_SAMPLING")],
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
    ) -> io.NodeOutput:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        ar_conditioning.check(ar_model)
        defaults = ar_model.defaults
        filters = Filters(
            temperature,
            defaults.top_k if top_k < 0 else top_k,
            defaults.top_p if top_p < 0 else top_p,
            min_p,
        )
        return io.NodeOutput(Sampling(ar_model, ar_conditioning, seed, batch_size, filters))


class ARDecode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARDecode",
            display_name="AR Decode",
            category="AR Guidance",
            description="Runs the sampler with its guidance chain and decodes the tokens into pictures. Shows progress and,"
            " if previews are on in ComfyUI, the picture after every scale.",
            search_aliases=["AR generate", "VAR decode"],
            inputs=[
                SamplingLink.Input(
                    "ar_sampling", tooltip="From AR Sampler or the last guidance node."
                ),
                widget(
                    io.Combo,
                    "if_stopped",
                    options=[TO_TEMP, HAND_ON],
                    default=TO_TEMP,
                    optional=True,
                    advanced=True,
                    tooltip="When a large batch is cancelled or fails half-way. 'save ... to temp': the run stops, finished"
                    " pictures lie in ComfyUI's temp folder. 'hand on ...': the graph goes on with the finished ones.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            outputs=[
                io.Image.Output("image", display_name="IMAGE"),
                TraceLink.Output(
                    "ar_trace",
                    display_name="AR_TRACE",
                    tooltip="What the guidance did to every token: for AR Guidance Map and AR Guidance Metrics.",
                ),
                TokensLink.Output(
                    "ar_tokens",
                    display_name="AR_TOKENS",
                    tooltip="What the pictures are decoded from: to vary, change or save them.",
                ),
            ],
        )

    @classmethod
    def execute(cls, ar_sampling: Sampling, if_stopped: str = TO_TEMP) -> io.NodeOutput:
        made = run_sampling(ar_sampling, if_stopped == HAND_ON, node_text(cls.hidden))
        return io.NodeOutput(made.image, made.trace, made.tokens)
