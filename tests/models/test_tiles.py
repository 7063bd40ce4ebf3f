"""A decoder's full size in tiles is the image in one piece: of every kind of decoder, whatever the size, shown to be small on the way."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from ar_guidance.benchmarks.harness import bundled
from ar_guidance.models.tokenizers.alitok_1d import AliTok1D, AliTok1DConfig, HalfConfig
from ar_guidance.models.tokenizers.bsq import BitwiseConfig, BitwiseVQ
from ar_guidance.models.tokenizers.cosmos_dv import CosmosConfig, CosmosDV
from ar_guidance.models.tokenizers.movq import MoVQ, MoVQConfig
from ar_guidance.models.tokenizers.tiles import FullSize
from ar_guidance.models.tokenizers.vq16 import VQ16, VQ16Config
from ar_guidance.models.tokenizers.vqgan import VQGAN, VQGANConfig
from ar_guidance.tests.tiny import randomise, tiny_codec
from torch import nn

TOLERANCE = 1e-5  # of the image's standard deviation; measured: up to 4e-6


Codec = Any


def tiny(build: Callable[[], Codec]) -> Codec:
    made = build().eval()
    randomise(made, seed=1)
    return made


GAN: dict[str, Any] = {
    "vocab": 8,
    "codes": 8,
    "dim": 4,
    "latent": 32,
    "channels": 32,
    "channel_mult": (1, 2),
    "attention": (),
}
CODECS: dict[str, Callable[[], Codec]] = {
    "VAR": tiny_codec,
    "Infinity": lambda: tiny(
        lambda: BitwiseVQ(BitwiseConfig(2, 24, (1, 2), 1, (1, 2), 2, patch=1))
    ),
    "LlamaGen": lambda: tiny(lambda: VQ16(VQ16Config(8, 4, 32, 32, (1, 2), 1))),
    "VQ-Diffusion": lambda: tiny(lambda: VQGAN(VQGANConfig(**GAN))),
    "bundled scale-wise": lambda: bundled("emoji_tokenizer", "tokenizer"),
    "bundled token-wise": lambda: bundled("emoji_vq", "tokenizer"),
    "Lumina": lambda: tiny(lambda: MoVQ(MoVQConfig(40, 4, 4, 4, (1, 2), 1, (1,), norm_groups=2))),
    "SimpleAR": lambda: tiny(lambda: CosmosDV(CosmosConfig((8,) * 4, 4, (), (8, 8), 0, 0, 1))),
}


def alitok() -> Codec:
    """Which cannot: every layer looks at all cells."""
    return tiny(lambda: AliTok1D(AliTok1DConfig(8, 4, 4, 3, 9, 2, *[HalfConfig(64, 1, 1, 64)] * 2)))


def map_of(codec: Codec, height: int, width: int, images: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(images, codec.config.dim, height, width, generator=generator)


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("side", [8, 20, 128])
def test_an_image_in_tiles_is_the_same(name: str, side: int) -> None:
    codec = CODECS[name]()
    features = map_of(codec, 13, 10, images=2)  # no multiple of a tile, in neither direction
    with torch.inference_mode():
        whole = codec.decode_raw(features)
        tiled = codec.decode_raw(features, tile=side)
    assert (tiled - whole).abs().max() <= TOLERANCE * whole.std()


@pytest.mark.parametrize("name", ["bundled scale-wise", "Lumina", "SimpleAR"])
def test_less_around_a_tile_would_show(name: str, monkeypatch) -> None:
    """What the law above would see if a tile's surroundings were too small."""
    codec = CODECS[name]()
    features = map_of(codec, 16, 16)
    made = FullSize.__init__

    def less(self: FullSize, *arguments: object) -> None:
        made(self, *arguments)
        self.around //= 2

    monkeypatch.setattr(FullSize, "__init__", less)
    with torch.inference_mode():
        tiled, whole = codec.decode_raw(features, tile=16), codec.decode_raw(features)
    assert (tiled - whole).abs().max() > 10 * TOLERANCE * whole.std()


@pytest.mark.parametrize("name", CODECS)
def test_no_map_of_the_full_size_is_made(name: str) -> None:
    codec, seen = CODECS[name](), []
    for layer in codec.decoder.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(lambda layer, given, y: seen.append(y.shape[-1]))
    features = map_of(codec, 32, 32)
    with torch.inference_mode():
        full = codec.decode(features, tile=16).shape[-1] // codec.decoder.grow
    assert max(seen) <= full // 2


@pytest.mark.parametrize("name", CODECS)
def test_the_processor_convolves_maps_whose_channels_lie_together(name: str) -> None:
    codec, apart = CODECS[name](), []

    def look(layer: nn.Conv2d, given: tuple[torch.Tensor, ...], made: torch.Tensor) -> None:
        (x,) = given
        if layer.kernel_size != (1, 1) and not x.is_contiguous(memory_format=torch.channels_last):
            apart.append(tuple(x.shape))

    for layer in codec.decoder.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(look)
    with torch.inference_mode():
        codec.decode(map_of(codec, 6, 5))
    assert not apart


def test_a_decoder_that_looks_at_all_cells_stays_in_one_piece() -> None:
    codec = alitok()
    tokens = torch.arange(9)[None] % codec.config.vocab
    codes = codec.lookup(tokens, (3, 3))
    with torch.inference_mode():
        assert torch.equal(codec.decode(codes, tile=8), codec.decode(codes))
