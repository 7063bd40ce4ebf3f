"""Graphs of a second run that edits the tokens of a first."""

from __future__ import annotations

from typing import Any

from ar_guidance.tests.hosts.graphs import add_mask, node

Json = dict[str, Any]
SCALES = 7  # of the bundled model


def again(prompt: Json, edit: Json, seed: int = 50, classes: str = "12") -> Json:
    """A second run behind a first one: its sampling goes through `edit`; only its image is saved."""
    first = prompt["sampler"]["inputs"]
    prompt["condition2"] = {
        **prompt["condition"],
        "inputs": prompt["condition"]["inputs"] | {"classes": classes},
    }
    prompt["sampler2"] = node(
        "ARSampler", **(first | {"ar_conditioning": ["condition2", 0], "seed": seed})
    )
    prompt["edit"] = edit
    prompt["decode2"] = node("ARDecode", ar_sampling=["edit", 0])
    prompt["save"]["inputs"]["images"] = ["decode2", 0]
    return prompt


def keep_scales(tokens: list = ["decode", 2], **settings: Any) -> Json:  # noqa: B006
    defaults = {"variation": 0.5, "keep_scales": -1}
    return node(
        "ARKeepScales", ar_sampling=["sampler2", 0], ar_tokens=tokens, **(defaults | settings)
    )


def inpaint(**settings: Any) -> Json:
    defaults = {
        "mask": ["mask", 0],
        "variation": 1.0,
        "soft_edge": 8,
        "keep_outside": True,
        "under_mask": "as it is",
        "seam": "blend features",
        "fit": "crop",
    }
    return node("ARInpaint", ar_sampling=["sampler2", 0], **(defaults | settings))


def masked(prompt: Json, size: int = 64, value: float = 1.0) -> Json:
    """Add a mask of the lower right quarter."""
    half = size // 2
    add_mask(prompt, (size, size), (half, half), (half, half), value)
    return prompt


def outpaint(**settings: Any) -> Json:
    defaults = {
        "left": 0.25,
        "top": 0.5,
        "right": 0.25,
        "bottom": 0.0,
        "soft_edge": 8,
        "keep_outside": True,
        "seam": "blend features",
    }
    return node(
        "AROutpaint", ar_sampling=["sampler2", 0], image=["decode", 0], **(defaults | settings)
    )
