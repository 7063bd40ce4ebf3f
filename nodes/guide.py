"""Guidance nodes, one per registered method, derived from its dataclass."""

import dataclasses
from typing import Any, cast

from comfy_api.v0_0_2 import io

from ..guidance.base import Guidance, Parameter, settings
from ..guidance.curve import CUBIC, LINEAR, Curve
from ..guidance.registry import METHODS
from ..guidance.schedule import CURVE
from .checked import Node
from .compat import numbers, schema, widget
from .inputs.setting import number_widget
from .types import Sampling, SamplingLink

CURVES = getattr(io, "Curve", None)  # the host's curve widget; older hosts have none
NO_CURVES = (
    "this ComfyUI has no curve widget, so the schedule drawn in a newer one is lost: choose another schedule, for example"
    " 'list' with one number per step"
)


def guidance_node(method: type[Guidance]) -> type[io.ComfyNode]:
    """The node class of a method: its fields become widgets, its docstring the description."""

    class GuidanceNode(Node):
        parses = frozenset({"schedule"})  # a host without a curve widget leaves one out

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
                    *_widgets(method),
                ],
                outputs=[
                    SamplingLink.Output(
                        "guided_sampling",
                        display_name="AR_SAMPLING",
                        tooltip="The same run with this guidance: for more guidance nodes or AR Decode.",
                    )
                ],
            )

        @classmethod
        def execute(cls, ar_sampling: Sampling, **given: object) -> io.NodeOutput:
            if CURVES is None and given.get("schedule") == CURVE:
                raise ValueError(NO_CURVES)
            guidance = method(**{name: _value(method, name, raw) for name, raw in given.items()})
            return io.NodeOutput(
                dataclasses.replace(ar_sampling, guidances=(*ar_sampling.guidances, guidance))
            )

    GuidanceNode.__name__ = GuidanceNode.__qualname__ = method.node_id
    return GuidanceNode


def _widgets(method: type[Guidance]) -> list[io.Input]:
    """One widget for each setting; the curve's comes last, so that saved workflows without one keep their order."""
    fields = settings(method)
    drawn = [field for field in fields if isinstance(field.default, Curve)]
    widgets = [_widget(field) for field in fields if field not in drawn]
    if CURVES is not None:
        widgets += [_curve_widget(field) for field in drawn]
    return widgets


def _curve_widget(field: dataclasses.Field[object]) -> io.Input:
    """A curve editor; optional, because graphs saved by a host without it lack the value."""
    default = cast(Curve, field.default)
    shown, points = field.metadata["parameter"], list(default.points)
    common = {"tooltip": shown.tooltip, "default": points, "advanced": shown.advanced}
    assert CURVES is not None
    return widget(CURVES, field.name, optional=True, **common)


def _widget(field: dataclasses.Field[object]) -> io.Input:
    """The widget of one setting, by the type of its default."""
    shown: Parameter = field.metadata["parameter"]
    common = {"tooltip": shown.tooltip, "default": field.default, "advanced": shown.advanced}
    if shown.options:
        options = [o for o in shown.options if o != CURVE or CURVES is not None]
        return widget(io.Combo, field.name, options=options, **common)
    if isinstance(field.default, tuple):
        return widget(io.String, field.name, **{**common, "default": ""})
    if isinstance(field.default, bool):
        return widget(io.Boolean, field.name, **common)
    return number_widget(field)


def _value(method: type[Guidance], name: str, raw: object) -> Any:
    """What the widget holds -> what the dataclass takes: a list of numbers is typed as text, a curve is a dictionary."""
    default = next(field.default for field in settings(method) if field.name == name)
    if isinstance(default, Curve):
        return _curve(raw)
    if not isinstance(default, tuple):
        return raw
    return numbers(str(raw))


def _curve(raw: object) -> Curve:
    """A host's curve: a dictionary of points and interpolation, bare points, or its own object with `points`."""
    if raw is None:
        return Curve()
    held: dict = raw if isinstance(raw, dict) else {"points": getattr(raw, "points", raw)}
    straight = "Linear" in type(raw).__name__
    interpolation = held.get("interpolation", LINEAR if straight else CUBIC)
    try:
        points = tuple((float(x), float(y)) for x, y in held["points"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            "the curve is not a list of points, each a pair of numbers: draw it again in the node"
        ) from error
    return Curve(points, interpolation)


NODES: list[type[io.ComfyNode]] = [guidance_node(method) for method in METHODS.values()]
