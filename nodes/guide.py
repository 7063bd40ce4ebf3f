"""Guidance nodes, one per registered method, derived from its dataclass."""

import dataclasses
from typing import Any

from comfy_api.v0_0_2 import io

from ..guidance.base import Guidance, Parameter
from ..guidance.registry import METHODS
from .compat import numbers, schema, widget
from .types import Sampling, SamplingLink


def guidance_node(method: type[Guidance]) -> type[io.ComfyNode]:
    """The node class of a method: its fields become widgets, its docstring the description."""

    class GuidanceNode(io.ComfyNode):
        @classmethod
        def define_schema(cls) -> io.Schema:
            return schema(
                node_id=method.node_id,
                display_name=method.title,
                category="AR Guidance/guidance",
                description=method.summary,
                search_aliases=[method.name, *method.aliases],
                inputs=[
                    SamplingLink.Input(
                        "ar_sampling", tooltip="From AR Sampler or another guidance node."
                    ),
                    *(_widget(field) for field in dataclasses.fields(method)),  # type: ignore[arg-type]
                ],
                outputs=[SamplingLink.Output("guided_sampling", display_name="AR_SAMPLING")],
            )

        @classmethod
        def execute(cls, ar_sampling: Sampling, **settings: Any) -> io.NodeOutput:
            link = method(**{name: _value(method, name, raw) for name, raw in settings.items()})
            return io.NodeOutput(dataclasses.replace(ar_sampling, links=(*ar_sampling.links, link)))

    GuidanceNode.__name__ = GuidanceNode.__qualname__ = method.node_id
    return GuidanceNode


def _widget(field: dataclasses.Field) -> Any:
    """The widget of one setting, by the type of its default."""
    shown: Parameter = field.metadata["parameter"]
    common = {"tooltip": shown.tooltip, "default": field.default, "advanced": shown.advanced}
    if shown.options:
        return widget(io.Combo, field.name, options=list(shown.options), **common)
    if isinstance(field.default, tuple):
        return widget(io.String, field.name, **{**common, "default": ""})
    if isinstance(field.default, bool):
        return widget(io.Boolean, field.name, **common)
    limits = {"min": shown.minimum, "max": shown.maximum, "step": shown.step}
    kind = io.Int if isinstance(field.default, int) else io.Float
    return widget(kind, field.name, **common, **limits)


def _value(method: type[Guidance], name: str, raw: Any) -> Any:
    """What the widget holds -> what the dataclass takes (a list of numbers is typed as text)."""
    default = next(f.default for f in dataclasses.fields(method) if f.name == name)  # type: ignore[arg-type]
    if not isinstance(default, tuple):
        return raw
    return numbers(raw)


NODES: list[type[io.ComfyNode]] = [guidance_node(method) for method in METHODS.values()]
