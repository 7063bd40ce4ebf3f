"""A small network of every family: layers as wide as a release's, but few of them, and images of 256 pixels or less."""

from dataclasses import replace
from typing import Any

from .releases import RELEASES, S256, Release

# family -> (of the transformer, of the tokenizer): what is smaller than in its first release
SMALLER: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "var": ({"depth": 2}, {}),
    "var_clip": ({"depth": 2}, {}),
    "switti": ({"depth": 2, "sides": S256}, {}),
    "hart": ({"depth": 2, "sides": S256, "head_depth": 1}, {}),
    "infinity": ({"chunks": (1, 1)}, {}),
    "llamagen": ({"depth": 2}, {}),
    "llamagen_text": ({"depth": 2}, {}),
    "simplear": ({"depth": 2, "grid": (16, 16)}, {}),
    "lumina_mgpt2": (
        {"depth": 2, "width": 1024, "heads": 8, "kv_heads": 8, "ffn": 2816, "grid": (32, 32)},
        {"channels": 128},
    ),
    "alitok": ({"depth": 2}, {}),
    "vq_diffusion": ({"depth": 2}, {}),
    "vq_diffusion_text": ({"depth": 2}, {}),
    "vq_diffusion_text_plain": ({"depth": 2}, {}),
}


def small(family: str) -> Release:
    """The first release of a family, made smaller."""
    release, (transformer, tokenizer) = RELEASES[family][0], SMALLER[family]
    return Release(
        f"{release.name}, small",
        replace(release.transformer, **transformer),
        replace(release.tokenizer, **tokenizer),
    )
