"""AR Entropy Temperature: temperature token by token, from how undecided the model is."""

from dataclasses import replace

from comfy_api.v0_0_2 import io

from ..sampling.entropy import EntropyTemperature
from .checked import Node
from .compat import schema, widget
from .types import Sampling, SamplingLink

PUBLISHED = EntropyTemperature()


class AREntropyTemperature(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AREntropyTemperature",
            display_name="AR Entropy Temperature",
            category="AR Guidance",
            description="Entropy-aware temperature (arXiv 2510.09012): draws freely where the model is sure, as in plain areas, and"
            " safely where it is undecided. AR Sampler's temperature is multiplied, token by token.",
            search_aliases=["dynamic temperature", "entropy sampling"],
            inputs=[
                SamplingLink.Input("ar_sampling", tooltip="From AR Sampler or a guidance node."),
                _number(
                    "rise",
                    PUBLISHED.rise,
                    0.0,
                    10.0,
                    "How much is added to floor where the model is entirely sure. 0 = nothing: the same factor everywhere. Too"
                    " much: noise in plain areas.",
                ),
                _number(
                    "decay",
                    PUBLISHED.decay,
                    0.1,
                    20.0,
                    "Over how many nats of entropy the rise fades. Smaller: only the surest tokens are drawn more freely."
                    " The default was chosen by its authors for 16384 codes, where 9.7 nats are the most.",
                ),
                _number(
                    "floor",
                    PUBLISHED.floor,
                    0.05,
                    2.0,
                    "The factor where the model is undecided. Too little: repetitive, smooth images. Too much: broken shapes.",
                ),
            ],
            outputs=[
                SamplingLink.Output(
                    "entropy_sampling",
                    display_name="AR_SAMPLING",
                    tooltip="The same run with these temperatures: for guidance nodes or AR Decode.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        ar_sampling: Sampling,
        rise: float = PUBLISHED.rise,
        decay: float = PUBLISHED.decay,
        floor: float = PUBLISHED.floor,
    ) -> io.NodeOutput:
        chosen = EntropyTemperature(rise, decay, floor)
        settings = replace(ar_sampling.sampler_settings, by_entropy=chosen)
        return io.NodeOutput(replace(ar_sampling, sampler_settings=settings))


def _number(name: str, default: float, low: float, high: float, tooltip: str) -> io.Input:
    return widget(io.Float, name, default=default, min=low, max=high, step=0.05, tooltip=tooltip)
