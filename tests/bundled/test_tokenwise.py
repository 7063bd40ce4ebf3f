"""The shipped token-wise model: loads, is as large as declared, draws what its card says; and the code that trains it."""

import json
from pathlib import Path

import pytest
import torch
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.softcfg import SoftCFG
from ar_guidance.loaders.detect import find_part, fitted
from ar_guidance.loaders.read import read_weights
from ar_guidance.tools.bundled.classifier import judge, load_classifier
from ar_guidance.tools.bundled.groups import ANY_STYLE, labels
from ar_guidance.tools.bundled.sample import Sampling, draw, load_pair, token_features
from ar_guidance.tools.bundled.token_codec import (
    CONFIG,
    SphereCodebook,
    TokenCodecTraining,
    matching_name,
)
from ar_guidance.tools.bundled.token_transformer import TokenTransformerTraining, build, tokenise
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[2]
BUNDLED = ROOT / "bundled"
HERE = Path(__file__).parent
IMAGES, UNGUIDED = 120, 40
# From docs/bundled-model.md: group accuracy at scale 4 of 150 images; three standard errors of 120 against 150.
DECLARED = 0.47
MARGIN = 3 * (DECLARED * (1 - DECLARED) * (1 / 150 + 1 / IMAGES)) ** 0.5
FILES = (BUNDLED / "emoji_llamagen.safetensors", BUNDLED / "emoji_vq.safetensors")


@pytest.fixture(scope="module")
def pair():
    """Codec and transformer."""
    return load_pair(BUNDLED, "token")


def test_files_are_found_by_the_ordinary_detection() -> None:
    assert sum(file.stat().st_size for file in FILES) <= 6e6
    transformer = find_part(read_weights(FILES[0]), "transformer")
    codec = fitted(transformer, find_part(read_weights(FILES[1]), "tokenizer"))
    config = transformer.config
    assert transformer.family.name == "llamagen" and codec.family.name == "vq16"
    assert (config.classes, config.grid, config.heads) == (199, (16, 16), 4)
    assert json.loads(transformer.metadata["labels"]) == labels()
    assert transformer.metadata["label_set"] == "Emoji"
    assert set(json.loads(transformer.metadata["defaults"])) >= {"scale", "schedule", "top_p"}
    assert codec.config.norm_groups == 1 and codec.config.factor == 4


def test_codec_gives_an_image_back(pair) -> None:
    codec = pair[0]
    image = -torch.ones(1, 3, 64, 64)
    image[:, 0, 16:48, 16:48] = 1  # a red square on black: not a drawing on white
    image[:, :, :12] = 1
    with torch.inference_mode():
        again = codec.decode(codec.lookup(codec.encode(image), (16, 16)))
    assert (again - image).square().mean() < 0.1 < image.var()


def right(pair, scale: float, count: int) -> torch.Tensor:
    """Whether the classifier recognises an image's group, of the first `count`; same classes and seeds for every scale."""
    classifier = load_classifier(HERE / "classifier.safetensors")
    shares = load_file(HERE / "reference.safetensors")["groups"].float()
    groups = torch.multinomial(shares, IMAGES, True, generator=torch.Generator().manual_seed(1))
    styles = torch.randint(ANY_STYLE, (IMAGES,), generator=torch.Generator().manual_seed(2))
    rows = (groups * (ANY_STYLE + 1) + styles)[:count]
    made = draw(pair, rows, Sampling(scale), seed=3, batch=count)
    return (judge(classifier, made)[1].argmax(1) == groups[:count]).float()


def test_guidance_helps(pair) -> None:
    # The card: 0.23 without guidance.
    plain, guided = right(pair, 1.0, UNGUIDED), right(pair, 4.0, IMAGES)
    assert guided[:UNGUIDED].mean() > plain.mean() + 0.1, (plain, guided)
    assert guided.mean() > DECLARED - MARGIN, (plain, guided)


def test_softcfg_acts_and_at_strength_zero_is_cfg(pair) -> None:
    rows = torch.tensor([4, 9])

    def features(guidance):
        return token_features(pair, rows, Chain((guidance,)), Sampling().drawer(0, 2, 0))

    with torch.inference_mode():
        plain = features(Sampling(3.0).guidances[0])
        assert torch.equal(features(SoftCFG(3.0, strength=0.0)), plain)
        assert not torch.equal(features(SoftCFG(3.0)), plain)


# --- the code that trains it -----------------------------------------------------------------------------------------


def test_training_pass_is_the_released_forward_pass() -> None:
    torch.manual_seed(0)
    network = build().eval()
    tokens, rows = torch.randint(CONFIG.vocab, (2, 256)), torch.tensor([3, 199])
    with torch.no_grad():
        ours = TokenTransformerTraining.logits(None, network, rows, tokens)  # type: ignore[arg-type]
        assert torch.allclose(ours, network(rows, tokens), atol=1e-5)


def test_a_share_of_the_input_tokens_is_wrong_and_the_targets_are_right(pair) -> None:
    images = torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    used, right = tokenise(pair[0], images, 0.25, torch.Generator().manual_seed(1)).unbind(1)
    with torch.inference_mode():
        assert torch.equal(right, pair[0].encode(images))
    share = (used != right).float().mean()
    error = (0.25 * 0.75 / used.numel()) ** 0.5
    assert abs(share - 0.25) < 5 * error


def test_codes_stay_on_the_unit_sphere() -> None:
    network = TokenCodecTraining.fresh()
    codebook = SphereCodebook(network)
    codebook.update(network, torch.randn(4, CONFIG.dim, 16, 16))
    norms = network.quantize.embedding.weight.norm(dim=1)
    assert torch.allclose(norms, torch.ones_like(norms), atol=1e-5)


def test_layers_of_the_multi_scale_tokenizer_are_found() -> None:
    own = TokenCodecTraining.fresh().state_dict()
    for theirs in ("encoder.down.1.block.0.conv1.weight", "decoder.up.0.block.1.norm2.bias"):
        assert matching_name(theirs) in own
    assert matching_name("decoder.up.0.block.0.conv1.weight").startswith(
        "decoder.conv_blocks.2.res"
    )
