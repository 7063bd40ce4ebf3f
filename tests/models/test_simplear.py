"""SimpleAR and its image tokenizer: released sizes, prompts, rules of drawing, and what does not fit."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from ar_guidance.guidance.cfg import CFG
from ar_guidance.models.family import FileFacts
from ar_guidance.models.parts.prompt import Prompt
from ar_guidance.models.simplear import (
    FAMILY,
    NEGATIVE,
    SimpleAR,
    SimpleARConfig,
    config_from_file,
    penalised,
    same_codes,
)
from ar_guidance.models.tokenizers.cosmos_blocks import haar, inverse_haar, single_frame
from ar_guidance.models.tokenizers.cosmos_dv import CosmosConfig, CosmosDV
from ar_guidance.sampling.draw import Filters
from ar_guidance.tests.rounding import holds
from ar_guidance.tests.tiny import CPU
from ar_guidance.tests.tiny_tokens import prompt, tiny_simplear
from hypothesis import given
from hypothesis import strategies as st

SMALL = SimpleARConfig(24, 896, 14, 2, 64, 4864, 215672, 151672, (151665, 151667), (64, 64))
LARGE = replace(SMALL, depth=28, width=1536, heads=12, head_width=128, ffn=8960)
COSMOS = CosmosConfig((8, 8, 8, 5, 5, 5), 16, (256, 512, 512), (256, 512, 512), 128, 2, 3)


def meta(build, config):
    with torch.device("meta"):
        return build(config)


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("config", "count"), [(SMALL, 551_140_224), (LARGE, 1_641_612_800)])
def test_released_sizes(config, count) -> None:
    network = meta(SimpleAR, config)
    assert parameters(network) == count
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    del shapes["lm_head.weight"]
    assert config_from_file(FileFacts(shapes)) == config
    untied = replace(config, tied=False)
    assert config_from_file(FileFacts(shapes | {"lm_head.weight": (1, 1)})) == untied
    assert parameters(meta(SimpleAR, untied)) == count + config.vocab * config.width


def test_released_tokenizer() -> None:
    """Published counts are those of the video network: three taps in time, comparisons of frames, two unused convolutions."""
    codec = meta(CosmosDV, COSMOS)
    assert codec.config.codes == codec.config.vocab == 64000 and codec.config.factor == 16

    def video(parts) -> int:
        taps = 0
        for name, value in ((n, v) for part in parts for n, v in part.named_parameters()):
            pairs = name.endswith(".1.conv3d.weight") and "attn" not in name
            resized = "downsample.conv2.conv3d.weight" in name or "upsample.conv1.conv3d.w" in name
            taps += value.numel() * (3 if pairs or resized else 1)
        comparisons = 2 * (512 * 512 + 512)
        return taps + comparisons + 512 * 512 * 3 + 512

    assert video((codec.encoder, codec.quant_conv)) == 46_324_102
    assert video((codec.decoder, codec.post_quant_conv)) == 66_148_080


# --- the image tokenizer ----------------------------------------------------------------------------------------------


@given(st.lists(st.integers(2, 9), min_size=1, max_size=4), st.data())
def test_codes_survive_quantisation(levels, data) -> None:
    config = CosmosConfig(tuple(levels), 1, (), (1, 1, 1), 0, 0, 1, first=7)
    codec = meta(CosmosDV, config)
    tokens = torch.tensor(
        [data.draw(st.lists(st.integers(0, config.codes - 1), min_size=6, max_size=6))]
    )
    codes = codec.lookup(tokens + 7, (2, 3))
    count = torch.tensor(levels)[:, None, None]
    half, offset = (count - 1) * 1.001 / 2, (count % 2 == 0) * 0.5
    features = ((codes * (count // 2) + offset) / half).atanh() - (offset / half).atanh()
    assert torch.equal(codec.nearest_code(features), tokens + 7)
    assert codes.abs().max() <= 1


def test_what_is_no_code_is_decoded_as_the_nearest() -> None:
    codec = meta(CosmosDV, replace(COSMOS, first=100, stem=0, encoder=()))
    ids = torch.tensor([[3, 100, 64099, 64100]])
    codes = codec.lookup(ids, (2, 2))
    assert torch.equal(codes[..., 0, 0], codes[..., 0, 1])
    assert torch.equal(codes[..., 1, 0], codes[..., 1, 1])


def test_haar_and_back() -> None:
    x = torch.randn(2, 3, 8, 12)
    y = haar(haar(x))
    assert y.shape == (2, 192, 2, 3)
    assert torch.allclose(inverse_haar(inverse_haar(y)), x, atol=1e-6)
    flat = haar(torch.ones(1, 1, 2, 2))
    assert flat.flatten().tolist() == [1, 0, 0, 0, 0, 0, 0, 0]


def test_a_kernel_over_equal_frames_is_its_sum() -> None:
    kernel = torch.randn(4, 5, 3, 1, 1)
    x = torch.randn(1, 5, 6, 6)
    video = F.conv3d(x[:, :, None].expand(-1, -1, 3, -1, -1), kernel)
    _, flat = single_frame("a.conv3d.weight", kernel)
    assert torch.allclose(F.conv2d(x, flat), video[:, :, 0], atol=1e-5)


# --- prompts ----------------------------------------------------------------------------------------------------------


def test_prompts_as_published() -> None:
    spec = FAMILY.prompt
    assert spec.text(SMALL, "a red cube") == "<|t2i|>A highly realistic image of a red cube<|soi|>"
    assert spec.negative == NEGATIVE and NEGATIVE.startswith("An image of aerial view, overexposed")
    assert spec.negative_text(SMALL, "blurry") == "<|t2i|>blurry<|soi|>"
    assert spec.room(SMALL) == 32768 - 4096 and spec.words(SMALL) == 151672
    assert spec.special(SMALL) == {"<|t2i|>": 151665, "<|soi|>": 151667}
    assert (FAMILY.defaults.scale, FAMILY.defaults.top_k) == (6.0, 64000)


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [3, 0]])
def test_padding_changes_no_logits(labels) -> None:
    network = tiny_simplear().network
    tokens = torch.arange(12)[None].repeat(len(labels), 1) + 10
    with torch.inference_mode():
        together = network(prompt(labels), tokens)
        for i, label in enumerate(labels):
            alone = network(prompt([label]), tokens[:1])
            assert torch.allclose(together[i : i + 1], alone, atol=1e-5)


def test_memory_of_the_cache_is_what_was_told() -> None:
    network = tiny_simplear().network
    branches = [prompt([1, 3]), Prompt.of([[8, 1, 5, 2, 2, 2, 2, 9]] * 2)]
    cache = network.begin(branches, CPU).cache
    taken = cache.keys.nbytes + cache.values.nbytes
    positions = network.prefix_length(branches)
    assert positions == 8 and cache.keys.shape[2] == network.config.kv_heads
    assert network.prefix_length([]) > positions  # before there is a prompt
    told = network.cache_bytes(4, positions)
    assert taken <= told <= taken * (positions + 12) / (positions + 11)


# --- repetition penalty -----------------------------------------------------------------------------------------------


@given(st.floats(1.0, 2.0), st.floats(-9, 9))
def test_penalty_makes_seen_tokens_less_likely(penalty, logit) -> None:
    logits = torch.full((1, 1, 2), logit)
    plain, weaker = penalised(logits, torch.tensor([False, True]), penalty)[0, 0].tolist()
    assert plain == logits[0, 0, 0] and weaker <= plain


def test_penalty_acts_on_the_conditional_branch_and_on_each_image_alone() -> None:
    model = tiny_simplear()
    chain, greedy = (CFG(3.0, "constant"),), Filters(temperature=0)
    plain = model.sample([1, 2, 3], chain, filters=greedy).tokens
    model.network.config = replace(model.network.config, repetition=1.6)
    steps = []
    tokens = model.sample([1, 2, 3], chain, on_step=steps.append, filters=greedy).tokens
    assert not torch.equal(plain, tokens)

    def law(seed: int) -> bool:
        together = model.sample([1, 2, 3], (CFG(3.0, "constant"),), seed=seed).tokens
        one = [model.sample([i + 1], (CFG(3.0, "constant"),), first=i, seed=seed) for i in range(3)]
        return torch.equal(together, torch.cat([made.tokens for made in one]))

    assert holds(law)
    with torch.inference_mode():
        raw = model.network(prompt([1, 2, 3]), tokens)
        negative = model.network(model.null(3), tokens)
    for k, step in enumerate(steps):
        assert torch.allclose(step.uncond, negative[:, k : k + 1], atol=1e-4)
        for i, label in enumerate([1, 2, 3]):
            ids = prompt([label]).ids[0].tolist() + tokens[i, :k].tolist()
            wanted = raw[i, k].clone()
            for seen in set(ids):
                wanted[seen] *= 1.6 if wanted[seen] < 0 else 1 / 1.6
            assert torch.allclose(step.cond[i, 0], wanted, atol=1e-4)


# --- what does not fit ------------------------------------------------------------------------------------------------


def shapes(config: SimpleARConfig) -> dict[str, tuple[int, ...]]:
    return {k: tuple(v.shape) for k, v in meta(SimpleAR, config).state_dict().items()}


VOCABULARY = {"a": 0, "b": 1, "<|t2i|>": 8, "<|soi|>": 9}
SETTINGS = {"num_attention_heads": 4, "max_position_embeddings": 100}


def tiny_facts(vocabulary: dict[str, int], **settings: int) -> FileFacts:
    found = shapes(tiny_simplear().network.config)
    return FileFacts(found, settings=SETTINGS | settings, vocabulary=vocabulary)


def test_text_is_what_the_text_tokenizer_has() -> None:
    config = config_from_file(tiny_facts(VOCABULARY))
    assert (config.text, config.special, config.grid) == (10, (8, 9), (7, 7))
    assert config.kv_heads == 2 and not config.tied


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        ({"a": 0, "b": 1}, "lacks <|t2i|> and <|soi|>"),
        (VOCABULARY | {"c": 23}, "no room for image codes"),
    ],
)
def test_text_tokenizers_of_other_models(vocabulary, message) -> None:
    with pytest.raises(ValueError, match=message.replace("|", r"\|")):
        config_from_file(tiny_facts(vocabulary))


def test_a_plain_language_model() -> None:
    with pytest.raises(ValueError, match="no image codes"):
        config_from_file(FileFacts(shapes(replace(SMALL, vocab=151936, depth=1))))


def test_an_image_tokenizer_of_another_size() -> None:
    fitted = same_codes(SMALL, COSMOS)
    assert (fitted.first, fitted.vocab) == (151672, SMALL.vocab)
    with pytest.raises(ValueError, match="151672 text tokens and the 32768 codes"):
        same_codes(SMALL, replace(COSMOS, levels=(8, 8, 8, 8, 8)))
    unknown = replace(SMALL, text=0, vocab=138)
    assert same_codes(unknown, replace(COSMOS, levels=(4, 4, 3))).first == 90
    with pytest.raises(ValueError, match="of 138 is not made of the 64000 codes"):
        same_codes(unknown, COSMOS)


def test_sizes_of_images() -> None:
    assert FAMILY.sizes[0] == (1024, 1024) and FAMILY.frames(SMALL)[0] == (64, 64)
    assert FAMILY.at(SMALL, (16, 16)).length == 256
    tiny = tiny_simplear().network.config
    assert FAMILY.frames(replace(tiny, context=400)) == ((3, 4), (16, 16))


def test_an_image_larger_than_the_context() -> None:
    with pytest.raises(ValueError, match="smaller picture_size"):
        replace(SMALL, grid=(182, 182))
