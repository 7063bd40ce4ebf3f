"""The shipped model loads, is as large as declared, and still reaches what its card says."""

from pathlib import Path

import pytest
import torch
from ar_guidance.loaders.detect import find_part
from ar_guidance.loaders.read import read_weights
from ar_guidance.tools.bundled.classifier import judge, load_classifier
from ar_guidance.tools.bundled.groups import ANY_STYLE
from ar_guidance.tools.bundled.sample import Sampling, draw, load_pair
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[2]
BUNDLED = ROOT / "bundled"
HERE = Path(__file__).parent
IMAGES, UNGUIDED = 200, 60
# From docs/bundled-model.md: group accuracy at scale 4, top-p 0.9, of 1000 images; three standard errors of 200.
DECLARED, MARGIN = 0.76, 3 * (0.76 * 0.24 / IMAGES) ** 0.5


def test_files_are_as_declared() -> None:
    files = [BUNDLED / "emoji_var.safetensors", BUNDLED / "emoji_tokenizer.safetensors"]
    assert sum(file.stat().st_size for file in files) <= 12e6
    assert [round(file.stat().st_size / 1e6, 1) for file in files] == [8.7, 2.2]
    transformer = find_part(read_weights(files[0]), "transformer")
    codec = find_part(read_weights(files[1]), "tokenizer")
    assert transformer.config.sides == (1, 2, 3, 4, 6, 8, 8)
    assert (transformer.config.classes, transformer.config.vocab) == (199, codec.config.vocab)
    assert codec.config.norm_groups == 1
    assert {v.dtype for v in transformer.tensors.values()} == {torch.float16, torch.int64}


def test_licences_ship_with_the_weights() -> None:
    text = (BUNDLED / "LICENSES.md").read_text(encoding="utf-8")
    assert "Noto" in text and "Fluent" in text and "MIT" in text and "Apache" in text


@pytest.fixture(scope="module")
def right():
    """Whether the classifier recognises an image's class, by scale; same classes and seeds, fewer images without guidance."""
    pair = load_pair(BUNDLED)
    classifier = load_classifier(HERE / "classifier.safetensors")
    shares = load_file(HERE / "reference.safetensors")["groups"].float()
    groups = torch.multinomial(shares, IMAGES, True, generator=torch.Generator().manual_seed(1))
    styles = torch.randint(ANY_STYLE, (IMAGES,), generator=torch.Generator().manual_seed(2))

    def of(scale: float, count: int) -> torch.Tensor:
        labels = (groups * (ANY_STYLE + 1) + styles)[:count]
        made = draw(pair, labels, Sampling(scale, top_p=0.9), seed=3)
        return (judge(classifier, made)[1].argmax(1) == groups[:count]).float()

    return {1.0: of(1.0, UNGUIDED), 4.0: of(4.0, IMAGES)}


def test_accuracy_is_still_what_the_card_says(right) -> None:
    assert abs(right[4.0].mean() - DECLARED) <= MARGIN, right[4.0].mean()


def test_guidance_helps(right) -> None:
    plain, guided = right[1.0].mean(), right[4.0][:UNGUIDED].mean()
    assert guided > plain + 0.08, (plain, guided)
