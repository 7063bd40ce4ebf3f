"""Widgets of Heun's sampler: AR EDM2 Sampler's."""

from comfy_api.v0_0_2 import io

from ..compat import widget
from .setting import seed_widget

UNLIMITED = 1000.0  # shown in place of an infinite noise level


def run_widgets() -> list[io.Input]:
    """Seed, number of images, number of steps."""
    return [
        seed_widget(
            "seed",
            "Same seed, same image on the same computer. Image i of a batch has its own random numbers, whatever the"
            " batch size, up to rounding.",
        ),
        widget(io.Int, "batch_size", default=1, min=1, max=1024, tooltip="Images of each class."),
        widget(
            io.Int,
            "steps",
            default=32,
            min=1,
            max=1000,
            tooltip="Steps from noise to image, two evaluations each (Heun). Few: blurred, wrong details. More than 32, the"
            " released setting, changes little.",
        ),
    ]


def _number(name: str, default: float, top: float, step: float, tooltip: str) -> io.Input:
    limits = {"min": 0.0, "max": top, "step": step}
    return widget(
        io.Float,
        name,
        default=default,
        optional=True,
        advanced=True,
        tooltip=tooltip,
        **limits,
    )


def _side(name: str) -> io.Input:
    return widget(
        io.Int,
        name,
        default=0,
        min=0,
        max=4096,
        step=8,
        optional=True,
        advanced=True,
        tooltip=f"Image {name} in pixels; 0 = what the network was trained for. Other sizes run, but untested; large ones tend"
        f" to repeat objects.",
    )


def noise_widgets() -> list[io.Input]:
    """Noise levels, churn, size: seldom changed."""
    return [
        _number(
            "sigma_max", 80.0, 1000.0, 1.0,
            "Noise level of the first step. Too low: the layout is washed out. 80 as released.",
        ),
        _number(
            "sigma_min", 0.002, 10.0, 0.001,
            "Noise level of the last step. Too high: a grainy image. 0.002 as released.",
        ),
        _number(
            "rho", 7.0, 100.0, 0.5,
            "How much denser the steps lie at the end. 1 = evenly spread, which blurs details. 7 as released.",
        ),
        _number(
            "churn", 0.0, 1000.0, 1.0,
            "Noise put back at every step. 0 = none, as released. More: corrects errors of earlier steps, then smooths"
            " details away.",
        ),
        _number("churn_min", 0.0, 1000.0, 0.01, "Noise level below which no noise is put back."),
        _number(
            "churn_max", UNLIMITED, UNLIMITED, 1.0,
            "Noise level above which no noise is put back. 1000 = no limit.",
        ),
        _number(
            "churn_noise", 1.0, 2.0, 0.001,
            "Strength of the noise put back. Slightly above 1 keeps details, more makes grain.",
        ),
        _side("width"),
        _side("height"),
    ]  # fmt: skip
