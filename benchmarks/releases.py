"""Sizes of the released networks, by family: what their shapes say, without the files."""

from dataclasses import dataclass, replace
from typing import Any

from ar_guidance.models.alitok import AliTokConfig
from ar_guidance.models.hart.network import HARTConfig
from ar_guidance.models.infinity.network import InfinityConfig
from ar_guidance.models.llamagen import LlamaGenConfig
from ar_guidance.models.lumina2 import LuminaConfig
from ar_guidance.models.parts.levels import KNOWN_SIDES
from ar_guidance.models.simplear import SimpleARConfig
from ar_guidance.models.switti.blocks import SwittiConfig
from ar_guidance.models.tokenizers.alitok_1d import AliTok1DConfig, HalfConfig
from ar_guidance.models.tokenizers.bsq import BitwiseConfig
from ar_guidance.models.tokenizers.cosmos_dv import CosmosConfig
from ar_guidance.models.tokenizers.movq import MoVQConfig
from ar_guidance.models.tokenizers.multiscale_vq import MultiScaleVQConfig
from ar_guidance.models.tokenizers.vq16 import VQ16Config
from ar_guidance.models.tokenizers.vqgan import VQGANConfig
from ar_guidance.models.var import VARConfig
from ar_guidance.models.var_clip import VARClipConfig
from ar_guidance.models.vq_diffusion.config import VQDiffusionConfig


@dataclass(frozen=True)
class Release:
    """One released transformer with the tokenizer it goes with."""

    name: str
    transformer: Any
    tokenizer: Any


# Ids that are not in the files' shapes are those of the release, or stand for them (separator, size tokens).
LUMINA = LuminaConfig(
    depth=32,
    width=4096,
    heads=32,
    kv_heads=32,
    head_width=128,
    ffn=11008,
    words=171385,
    first=155000,
    vocab=16384,
    start=151665,
    separator=153000,
    line_end=151670,
    sizes=tuple(range(151671, 151671 + 64)),
    grid=(96, 96),
)
S256, S512, S1024 = KNOWN_SIDES[680, 10], KNOWN_SIDES[2240, 10], KNOWN_SIDES[9451, 14]
VAE = MultiScaleVQConfig(4096, 32, 160)
VQ16 = VQ16Config(16384, 8, 256, 128)
BITS32 = BitwiseConfig(32, 128, (1, 2, 4, 4, 4), 2, (1, 2, 4, 4, 4), 3)
BITS16 = BitwiseConfig(16, 128, (1, 2, 4, 4, 4), 2, (1, 2, 4, 4, 4), 3)
BITS14 = BitwiseConfig(14, 128, (1, 2, 4, 4), 2, (1, 2, 4, 4), 3)
ALITOK = AliTok1DConfig(
    4096, 32, 16, 16, 273, 32, HalfConfig(768, 12, 12, 3072), HalfConfig(1024, 24, 16, 4096)
)


def var(depth: int, sides: tuple[int, ...] = S256, shared: bool = False) -> VARConfig:
    width = 64 * depth
    return VARConfig(depth, width, depth, 4096, 32, 1000, sides, 4 * width, shared)


def switti(sides: tuple[int, ...], causal: bool) -> SwittiConfig:
    return SwittiConfig(30, 1920, 30, 4096, 32, sides, 5120, 2048, 1280, causal)


def llamagen(width: int, depth: int, heads: int, side: int) -> LlamaGenConfig:
    return LlamaGenConfig(depth, width, heads, 16384, swiglu(width), (side, side), classes=1000)


def llamagen_text(side: int) -> LlamaGenConfig:
    grid = side, side
    return LlamaGenConfig(36, 1280, 20, 16384, 3584, grid, caption_width=2048, prefix=120)


def alitok(width: int, depth: int) -> AliTokConfig:
    return AliTokConfig(depth, width, 16, 4096, swiglu(width), 1000)


def swiglu(width: int) -> int:
    """8/3 of the width, rounded up to 256."""
    return -(-(8 * width // 3) // 256) * 256


def infinity(chunks: tuple[int, ...], width: int, heads: int, bits: int, scales: int) -> Any:
    return InfinityConfig(
        chunks, width, heads, bits, 4 * width, 2048, 512, pool_heads=16, scales=scales
    )


def small(codes: int, kept: int) -> tuple[int, ...]:
    """A list that stands for a release's: which of its codes are kept matters to no size."""
    return tuple(min(code, kept - 1) for code in range(codes))


CLASSES = 1000
VQ_TEXT = VQDiffusionConfig(
    19, 1024, 16, 4096, 2887, 100, (32, 32), (32, 32), text_width=512, text_rows=77
)
HART = HARTConfig(24, 1536, 24, 4096, 32, S1024, 4096, 1536, 300, head_width=1024, head_depth=6)
SIMPLEAR = SimpleARConfig(24, 896, 14, 2, 64, 4864, 215672, 151672, (151665, 151667), (64, 64))
COSMOS = CosmosConfig((8, 8, 8, 5, 5, 5), 16, (256, 512, 512), (256, 512, 512), 128, 2, 3)
LLAMAGEN_SIZES = (
    ("B", 768, 12, 12, 16),
    ("L", 1024, 24, 16, 16),
    ("XL", 1280, 36, 20, 24),
    ("XXL", 1536, 48, 24, 24),
    ("3B", 3200, 24, 32, 24),
)

RELEASES: dict[str, tuple[Release, ...]] = {
    "var": (
        *(Release(f"VAR-d{d}, 256", var(d), VAE) for d in (16, 20, 24, 30)),
        Release("VAR-d36, 512", var(36, S512, shared=True), VAE),
    ),
    "var_clip": (
        Release("VAR-CLIP-d16, 256", VARClipConfig(16, 1024, 16, 4096, 32, 0, S256, 4096), VAE),
    ),
    "switti": (
        Release("Switti, 512", switti(S512, False), VAE),
        Release("Switti-AR, 512", switti(S512, True), VAE),
        Release("Switti, 1024", switti(S1024, False), VAE),
        Release("Switti-AR, 1024", switti(S1024, True), VAE),
    ),
    "hart": (Release("HART-0.7B, 1024", HART, VAE),),
    "infinity": (
        Release("Infinity-125M, 256", infinity((3,) * 4, 768, 8, 16, 7), BITS16),
        Release("Infinity-2B, 1024", infinity((4,) * 8, 2048, 16, 32, 13), BITS32),
        Release("Infinity-8B, 512", infinity((5,) * 8, 3584, 28, 56, 10), BITS14),
        Release("Infinity-8B, 1024", infinity((5,) * 8, 3584, 28, 56, 13), BITS14),
    ),
    "llamagen": tuple(
        Release(f"LlamaGen-{name}, {16 * side}", llamagen(width, depth, heads, side), VQ16)
        for name, width, depth, heads, side in LLAMAGEN_SIZES
    ),
    "llamagen_text": tuple(
        Release(f"LlamaGen-XL text, {16 * side}", llamagen_text(side), VQ16) for side in (16, 32)
    ),
    "simplear": (
        Release("SimpleAR-0.5B, 1024", SIMPLEAR, COSMOS),
        Release(
            "SimpleAR-1.5B, 1024",
            replace(SIMPLEAR, depth=28, width=1536, heads=12, head_width=128, ffn=8960),
            COSMOS,
        ),
    ),
    "lumina_mgpt2": (Release("Lumina-mGPT-2-7B, 768", LUMINA, MoVQConfig(16384, 4, 4, 256)),),
    "vq_diffusion": (
        Release(
            "VQ-Diffusion ImageNet, 256",
            VQDiffusionConfig(24, 512, 16, 2048, 974, 100, (16, 16), (32, 32), entries=CLASSES),
            VQGANConfig(
                974,
                256,
                256,
                128,
                (1, 1, 2, 2, 4),
                2,
                (4,),
                codes=16384,
                lists=(small(16384, 974),),
            ),
        ),
    ),
    "vq_diffusion_text": (
        Release(
            "VQ-Diffusion ITHQ, 256",
            replace(VQ_TEXT, depth=36, width=1408, ffn=5632, vocab=4096, learned_null=True),
            VQGANConfig(4096, 128, 256, 64, (1, 2, 4, 8), 2, (3,), codes=4096),
        ),
    ),
    "vq_diffusion_text_plain": (
        Release(
            "VQ-Diffusion COCO, 256",
            VQ_TEXT,
            VQGANConfig(
                2887,
                256,
                256,
                128,
                (1, 1, 2, 4),
                attention=(3,),
                codes=8192,
                scored=True,
                lists=(small(8192, 2887),),
            ),
        ),
    ),
    "alitok": (
        Release("AliTok-B, 256", alitok(768, 24), ALITOK),
        Release("AliTok-L, 256", alitok(1024, 24), ALITOK),
        Release("AliTok-XL, 256", alitok(1280, 32), ALITOK),
    ),
}
