"""The guidance of the pack on stock diffusion models: a patch on MODEL."""

import dataclasses

from comfy_api.v0_0_2 import io

from ..guidance.diffusion import DiffusionMix
from ..guidance.igg import AUTO, FIXED, GLOBAL, IGG, SELF_ATTENTION, TOKEN_WEIGHT
from .checked import Node
from .compat import schema, widget
from .execution.host import DiffusionModel
from .execution.post_cfg import PostCFG, patch

SAMPLER, CUSTOM = "sampler cfg", "custom"
PAPER = {"paper 1.40 / -0.40": (1.40, -0.40), "paper 1.20 / -0.20": (1.20, -0.20)}


class ARDiffusionIGG(Node):
    """MODEL -> MODEL with IGG or the CFG-IGG mix."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARDiffusionIGG",
            display_name="AR Diffusion: IGG",
            category="AR Guidance/diffusion",
            description=(
                "Information-grounding guidance for ordinary diffusion models: besides the nudge from the negative to"
                " the positive prompt (CFG), each place of the image gets, or loses, the average nudge of the places"
                " that look alike."
            ),
            search_aliases=["igg", "information grounding", "CFG-IGG", "guidance patch"],
            inputs=[
                io.Model.Input(
                    "model", tooltip="Any diffusion model; it is not changed, the output is a copy."
                ),
                *_strength_widgets(),
                *_interval_widgets(),
                *_attention_widgets(),
            ],
            outputs=[
                io.Model.Output(
                    "patched_model",
                    display_name="MODEL",
                    tooltip="The same model with this guidance: for a sampler.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        model: DiffusionModel,
        mix: str,
        igg_scale: float,
        cfg_scale: float,
        start_percent: float,
        end_percent: float,
        window: str,
        window_side: int,
        attention: str,
    ) -> io.NodeOutput:
        igg = IGG(attention=attention, window=window, window_side=window_side)
        settings = dataclasses.replace(scales(mix, cfg_scale, igg_scale), igg=igg)
        return io.NodeOutput(patch(model, PostCFG(settings, start_percent, end_percent)))


def scales(mix: str, cfg_scale: float, igg_scale: float) -> DiffusionMix:
    """The two weights a choice stands for."""
    if mix == SAMPLER:
        return DiffusionMix(igg_scale)
    if mix == CUSTOM:
        return DiffusionMix(igg_scale, cfg_scale)
    if mix not in PAPER:
        raise ValueError(
            f"unknown mix '{mix}': choose one of {', '.join((SAMPLER, *PAPER, CUSTOM))}"
        )
    plain, attended = PAPER[mix]
    return DiffusionMix(attended, plain)


def _strength_widgets() -> list[io.Input]:
    """The two weights."""
    return [
        widget(
            io.Combo,
            "mix",
            options=[SAMPLER, *PAPER, CUSTOM],
            default=SAMPLER,
            tooltip=(
                "Where the two weights come from. 'sampler cfg': CFG as set in the sampler, plus igg_scale."
                " 'paper ...': the two published mixes (made for models that work with little CFG); they replace the"
                " sampler's cfg. 'custom': cfg_scale and igg_scale below replace it; cfg_scale 0 is IGG alone."
            ),
        ),
        widget(
            io.Float,
            "igg_scale",
            default=-0.4,
            min=-20.0,
            max=50.0,
            step=0.05,
            tooltip=(
                "Weight of the averaged nudge; not used with 'paper ...'. 0 = absent. Negative takes away what look-alike places share and leaves"
                " what sets them apart: more local contrast; too negative: noise, and the prompt fades. Positive adds"
                " the shared nudge: stronger; too much: flat, oversaturated areas."
            ),
        ),
        widget(
            io.Float,
            "cfg_scale",
            default=1.4,
            min=-20.0,
            max=50.0,
            step=0.05,
            tooltip=(
                "Only for 'custom': weight of CFG, in place of the sampler's. 1 = none, 0 = IGG alone. Too little: the"
                " prompt is ignored. Too much: harsh, burnt colours."
            ),
        ),
    ]


def _interval_widgets() -> list[io.Input]:
    """When it acts."""
    percent = {"min": 0.0, "max": 1.0, "step": 0.01}
    return [
        widget(
            io.Float,
            "start_percent",
            default=0.0,
            **percent,
            tooltip="Share of the sampling before which the node does nothing. Above 0 leaves the layout alone.",
        ),
        widget(
            io.Float,
            "end_percent",
            default=1.0,
            **percent,
            tooltip="Share of the sampling after which the node does nothing. Below 1 leaves fine detail alone.",
        ),
    ]


def _attention_widgets() -> list[io.Input]:
    """Which places of the image look at each other, and how."""
    return [
        widget(
            io.Combo,
            "window",
            options=[GLOBAL, AUTO, FIXED],
            default=GLOBAL,
            tooltip=(
                "Which places look at each other: all of an image ('global'), a neighbourhood as wide as the image's"
                " mean side ('auto'), or of a width you choose ('fixed side', the cheap one on large images). Too small a"
                " window acts like CFG."
            ),
        ),
        widget(
            io.Int,
            "window_side",
            default=33,
            min=1,
            max=1024,
            step=1,
            tooltip=(
                "Only for 'fixed side': width of the neighbourhood in latent pixels (8 image pixels each in most"
                " models). Small: fast, local. 1 = the place alone, which is CFG."
            ),
        ),
        widget(
            io.Combo,
            "attention",
            options=[SELF_ATTENTION, TOKEN_WEIGHT],
            default=SELF_ATTENTION,
            advanced=True,
            tooltip=(
                "How attention acts. 'self-attention' averages the nudges; 'token weight' keeps each place's own nudge"
                " and makes those stronger that many others look at."
            ),
        ),
    ]
