"""The widget of a number that a dataclass declares with its limits."""

import dataclasses

from comfy_api.v0_0_2 import io

from ...guidance.base import Parameter
from ..compat import widget


def number_widget(field: dataclasses.Field[object]) -> io.Input:
    """Limits, step, default and tooltip as the field's `Parameter` says; whole numbers where the default is one."""
    shown: Parameter = field.metadata["parameter"]
    return widget(
        io.Int if isinstance(field.default, int) else io.Float,
        field.name,
        default=field.default,
        min=shown.minimum,
        max=shown.maximum,
        step=shown.step,
        advanced=shown.advanced,
        tooltip=shown.tooltip,
    )
