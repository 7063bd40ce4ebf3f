"""The pack's graph in API form, small enough to vary in a test."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def generate(
    checkpoint: str = "bundled: emoji 64x64",
    tokenizer: str = "automatic",
    classes: str = "0",
    scale: float = 3.0,
    **sampler: Any,
) -> Json:
    """Load, condition, sampler, CFG, decode, save: node ids are the words here."""
    settings = {
        "seed": 1,
        "batch_size": 1,
        "temperature": 1.0,
        "top_k": -1,
        "top_p": -1.0,
        "min_p": 0.0,
    }
    return {
        "load": node("ARLoadCheckpoint", checkpoint=checkpoint, tokenizer=tokenizer),
        "condition": node(
            "ARClassCondition",
            ar_model=["load", 0],
            label="no class (unconditional)",
            classes=classes,
        ),
        "sampler": node(
            "ARSampler",
            ar_model=["load", 0],
            ar_conditioning=["condition", 0],
            **(settings | sampler),
        ),
        "cfg": cfg(["sampler", 0], scale),
        "decode": node("ARDecode", ar_sampling=["cfg", 0]),
        "save": node("SaveImage", images=["decode", 0], filename_prefix="test"),
    }


def cfg(source: list, scale: float, **settings: Any) -> Json:
    """A CFG link behind `source`."""
    defaults = {
        "schedule": "family default",
        "start": 0.0,
        "end": 1.0,
        "power": 1.0,
        "values": "",
    }
    return node("ARGuidanceCFG", ar_sampling=source, scale=scale, **(defaults | settings))


def node(kind: str, **inputs: Any) -> Json:
    return {"class_type": kind, "inputs": inputs}


def add_mask(
    prompt: Json,
    image: tuple[int, int],
    place: tuple[int, int],
    patch: tuple[int, int],
    value: float = 1.0,
) -> list:
    """Add a mask that is `value` on a patch and 0 elsewhere; sizes are (width, height), the place is the patch's (x, y)."""
    for name, level, (width, height) in (("ground", 0.0, image), ("patch", value, patch)):
        prompt[name] = node("SolidMask", value=level, width=width, height=height)
    both = {"destination": ["ground", 0], "source": ["patch", 0]}
    prompt["mask"] = node("MaskComposite", **both, x=place[0], y=place[1], operation="add")
    return ["mask", 0]
