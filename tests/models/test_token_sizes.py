"""The released sizes of the token-wise families: parameter counts as published, heads by the rule."""

import pytest
import torch
from ar_guidance.models.alitok import AliTok, AliTokConfig, published_defaults
from ar_guidance.models.llamagen import LlamaGen, LlamaGenConfig, default_side, head_count
from ar_guidance.models.tokenizers.alitok_1d import AliTok1D, AliTok1DConfig, HalfConfig
from ar_guidance.models.tokenizers.vq16 import VQ16, VQ16Config


def count(build, config) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(config).parameters())


def hidden(width: int) -> int:
    """SwiGLU width of every release: 8/3 of the width, rounded up to 256."""
    return -(-(8 * width // 3) // 256) * 256


@pytest.mark.parametrize(
    ("width", "depth", "heads", "parameters"),
    [
        (768, 12, 12, 110_888_448),
        (1024, 24, 16, 342_910_976),
        (1280, 36, 20, 774_699_520),
        (1536, 48, 24, 1_410_972_672),
        (3200, 24, 32, 3_096_659_200),
    ],
)
def test_llamagen(width, depth, heads, parameters) -> None:
    assert head_count(width) == heads
    config = LlamaGenConfig(depth, width, heads, 16384, hidden(width), (24, 24), classes=1000)
    assert count(LlamaGen, config) == parameters


def test_llamagen_text() -> None:
    config = LlamaGenConfig(
        36, 1280, 20, 16384, hidden(1280), (16, 16), caption_width=2048, prefix=120
    )
    assert count(LlamaGen, config) == 777_678_080
    assert default_side(1280, 120) == 16 and default_side(1280, 1) == 24


def test_llamagen_tokenizers() -> None:
    assert count(VQ16, VQ16Config(16384, 8, 256, 128)) == 71_883_403
    eight = VQ16Config(16384, 8, 256, 128, (1, 2, 2, 4))
    assert count(VQ16, eight) == 70_109_835 and eight.factor == 8


@pytest.mark.parametrize(
    ("width", "depth", "parameters", "scale", "power"),
    [
        (768, 24, 177_048_064, 16.0, 1.8),
        (1024, 24, 317_851_648, 6.0, 0.7),
        (1280, 32, 662_141_696, 13.0, 1.4),
    ],
)
def test_alitok(width, depth, parameters, scale, power) -> None:
    config = AliTokConfig(depth, width, 16, 4096, hidden(width), 1000)
    assert count(AliTok, config) == parameters and config.length == 273
    defaults = published_defaults(config)
    assert (defaults.scale, defaults.schedule, defaults.power) == (scale, "cosine power", power)


def test_alitok_tokenizer() -> None:
    config = AliTok1DConfig(
        4096, 32, 16, 16, 273, 32, HalfConfig(768, 12, 12, 3072), HalfConfig(1024, 24, 16, 4096)
    )
    assert count(AliTok1D, config) == 389_899_308
