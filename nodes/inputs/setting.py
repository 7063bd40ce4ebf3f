"""Widgets of numbers: of one that a dataclass declares with its limits, and of a seed."""

import dataclasses

from comfy_api.v0_0_2 import io

from ...guidance.base import Parameter
from ..compat import LARGEST_SEED, widget


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


def seed_widget(name: str, tooltip: str) -> io.Input:
    """A seed, which ComfyUI's frontend may change after each run."""
    return widget(
        io.Int,
        name,
        default=0,
        min=0,
        max=LARGEST_SEED,
        control_after_generate=True,
        tooltip=tooltip,
    )
