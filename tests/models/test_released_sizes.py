"""The released sizes that `benchmarks/families.py` reckons with: parameter counts as published, pairs that fit."""

from pathlib import Path

import pytest
import torch
from ar_guidance.benchmarks import releases, small
from ar_guidance.loaders.families import TOKENIZERS, TRANSFORMERS

# Of the fact sheets, which agree with the sizes of the files where those are known.
PARAMETERS = {
    "VAR-d16, 256": 310_283_520,
    "VAR-d36, 512": 2_353_893_904,
    "VAR-CLIP-d16, 256": 310_046_720,
    "Switti, 512": 2_470_518_256,
    "Switti-AR, 1024": 2_470_525_936,
    "HART-0.7B, 1024": 732_399_168,
    "LlamaGen-B, 256": 110_888_448,
    "AliTok-XL, 256": 662_141_696,
    "SimpleAR-0.5B, 1024": 551_140_224,
    "Lumina-mGPT-2-7B, 768": 7_880_273_920 - (171_385 - 16_384) * 4096,  # text is never predicted
}
MILLIONS = {"Infinity-125M, 256": 125, "Infinity-2B, 1024": 2205, "Infinity-8B, 1024": 8376}
ALL = [(f, r) for f in TRANSFORMERS for r in releases.RELEASES.get(f.name, ())]

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "cases"


def test_every_shipped_family_is_measured() -> None:
    """One that names the image sizes of its releases, or whose authors' code was recorded, is in both lists of benchmarks."""
    shipped = {f.name for f in TRANSFORMERS if f.sizes or (GOLDEN / f.name).is_dir()}
    assert set(releases.RELEASES) == shipped
    assert set(small.SMALLER) == shipped


@pytest.mark.parametrize(("family", "release"), ALL, ids=lambda value: value.name)
def test_a_release_is_as_large_as_published_and_fits_its_tokenizer(family, release) -> None:
    codec = next(f for f in TOKENIZERS if f.name == family.tokenizer)
    fitted = family.fit(release.transformer, release.tokenizer)
    with torch.device("meta"):
        network, _ = family.build(release.transformer), codec.build(fitted)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == PARAMETERS.get(release.name, count)
    assert round(count / 1e6) == MILLIONS.get(release.name, round(count / 1e6))
    height, width = (side * fitted.factor for side in release.transformer.grid)
    assert (height, width) in family.sizes
    assert str(height) in release.name
    assert family.sized(release.transformer, height, width, fitted.factor) == release.transformer


def test_the_cache_of_infinity_is_what_the_fact_sheet_says() -> None:
    for name, gigabytes in (("Infinity-2B, 1024", 4.1), ("Infinity-8B, 1024", 9.1)):
        family, release = next((f, r) for f, r in ALL if r.name == name)
        with torch.device("meta"):
            network = family.build(release.transformer)
        c = release.transformer
        mixed = (
            c.depth * c.width * c.length * (4 + 2)
        )  # keys in fp32, values in bf16: the release's
        assert mixed / 1e9 == pytest.approx(gigabytes, abs=0.06)
        text = 2 * c.depth * c.width * c.text_length * 4
        h, w = c.grid  # of the last scale, which nobody looks back at
        assert network.cache_bytes(1) == 2 * c.depth * c.width * (c.length - h * w) * 4 + text
