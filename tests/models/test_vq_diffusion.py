"""VQ-Diffusion: Bayes' rule against the posterior, released sizes, what the files say and what they lack."""

import pytest
import torch
from ar_guidance.loaders.read import CheckpointError, read_weights
from ar_guidance.models.parts.text import TextCondition
from ar_guidance.models.tokenizers.vqgan import VQGAN, VQGANConfig, first_codes
from ar_guidance.models.vq_diffusion.config import VQDiffusionConfig
from ar_guidance.models.vq_diffusion.network import VQDiffusion
from ar_guidance.tests.tiny_vq_diffusion import config, network, published

CPU = torch.device("cpu")


def chances(diffusion, t: int, vocab: int) -> torch.Tensor:
    """One step's transition matrix (V + 1, V + 1), from -> to."""
    at, bt, ct = (x[t].double().exp() for x in (diffusion.at, diffusion.bt, diffusion.ct))
    matrix = torch.full((vocab + 1, vocab + 1), float(bt), dtype=torch.float64)
    matrix[:, vocab] = ct
    matrix += torch.diag(torch.full((vocab + 1,), float(at), dtype=torch.float64))
    matrix[vocab] = 0
    matrix[vocab, vocab] = 1
    return matrix


@pytest.mark.parametrize("t", [0, 1, 2, 5, 11])
def test_the_posterior_is_bayes_rule(t: int) -> None:
    """Of every observed token, against the product of one-step matrices, for a certain and an uncertain prediction."""
    vocab, steps = 6, 12
    diffusion = published(steps, vocab)
    to = torch.eye(vocab + 1, dtype=torch.float64)
    for k in range(t):
        to = to @ chances(diffusion, k, vocab)
    step = chances(diffusion, t, vocab)
    start = torch.randn(1, 1, vocab, dtype=torch.float64).mul(2).log_softmax(-1)
    given = torch.nn.functional.pad(start.float(), (0, 1), value=-70.0)
    for observed in range(vocab + 1):
        wanted = torch.zeros(vocab + 1, dtype=torch.float64)
        for first in range(vocab):
            joint = to[first] * step[:, observed]
            if joint.sum():
                wanted += start[0, 0, first].exp() / (to[first] @ step[:, observed]) * joint
        # The reference does not divide the observation's own likelihood out where the token is known.
        made = diffusion.posterior(given, torch.tensor([[observed]]), t)[0, 0]
        assert torch.allclose(made.double().softmax(-1), wanted / wanted.sum(), atol=2e-4), observed


RELEASED = {
    "ImageNet": (
        VQDiffusionConfig(24, 512, 16, 2048, 974, 100, (16, 16), (32, 32), entries=1000),
        518_025_678,
    ),
    "COCO": (
        VQDiffusionConfig(19, 1024, 16, 4096, 2887, 100, (32, 32), (32, 32), text_width=512),
        388_780_871,
    ),
    "ITHQ": (
        VQDiffusionConfig(36, 1408, 16, 5632, 4096, 100, (32, 32), (32, 32), text_width=512),
        1_359_274_624,
    ),
}


@pytest.mark.parametrize("name", RELEASED)
def test_released_sizes(name: str) -> None:
    sizes, parameters = RELEASED[name]
    with torch.device("meta"):
        made = VQDiffusion(sizes)
    assert sum(p.numel() for p in made.parameters()) == parameters


def test_no_class_is_the_mean_of_all_where_it_was_not_learnt() -> None:
    made = network(config())
    state = made.begin((torch.tensor([1, 5]),), CPU)
    norm = made.transformer.blocks[0].ln2
    own = norm.numbers_or_mean(torch.tensor([1, 5]))
    mean = norm.linear(torch.nn.functional.silu(norm.emb.weight.mean(0)))
    assert torch.allclose(own[1, 0], mean, atol=1e-6) and not torch.allclose(own[0, 0], mean)
    assert made.null_condition(2).tolist() == [5, 5]
    tokens = torch.full((2, 16), 12)
    assert made.step(state, 3, tokens, 2).shape == (2, 16, 12)


def test_a_branch_less_gives_the_same_rows() -> None:
    made = network(config(entries=0, text_width=8, text_rows=6))
    texts = [TextCondition(torch.randn(2, 6, 8), None) for _ in range(2)]
    tokens = torch.randint(0, 13, (2, 16))
    both = made.step(made.begin(texts, CPU), 7, tokens, 4)
    assert torch.allclose(made.step(made.begin(texts, CPU), 7, tokens, 2), both[:2], atol=1e-5)
    assert torch.allclose(made.step(made.begin(texts[:1], CPU), 7, tokens, 2), both[:2], atol=1e-5)


def test_places_are_counted_in_the_table_not_in_the_image() -> None:
    made = network(config())
    places = made.transformer.content_emb.places(16, CPU)
    height = made.transformer.content_emb.height_emb.weight
    width = made.transformer.content_emb.width_emb.weight
    assert torch.equal(places[9], height[1] + width[1])  # token (2, 1) of 4 x 4, in a table 8 wide


# --- codecs -----------------------------------------------------------------------------------------------------------


def codec(**changes: object) -> VQGANConfig:
    sizes = {"vocab": 8, "codes": 8, "dim": 4, "latent": 32, "channels": 32}
    return VQGANConfig(**{**sizes, "channel_mult": (1,), "attention": (), **changes})  # type: ignore[arg-type]


def test_dropped_codes_count_as_token_0_and_a_token_is_its_first_code() -> None:
    small = (0, 0, 1, 0, 2, 2, 0, 3)
    assert first_codes(small).tolist() == [0, 2, 4, 7]
    sizes = codec(lists=((0, 1, 0, 0, 0, 0, 0, 0), small)).reduced(4)
    assert sizes.small == small and sizes.vocab == 4
    made = VQGAN(sizes)
    codes = made.quantize.codebook(CPU)
    map_ = codes.T.view(1, 4, 2, 4)
    assert made.nearest_code(map_).tolist() == [list(small)]
    looked = made.lookup(torch.tensor([[3, 1]]), (1, 2))
    assert torch.equal(looked[0, :, 0].T, codes[[7, 2]])


def test_a_scored_codebook_takes_the_highest_score() -> None:
    made = VQGAN(codec(scored=True))
    features = torch.randn(1, 4, 2, 2)
    scores = torch.einsum("ve,behw->bvhw", made.quantize.proj.weight[..., 0, 0], features)
    scores = scores + made.quantize.proj.bias[:, None, None]
    assert torch.equal(made.nearest_code(features), scores.flatten(2).argmax(1))


def test_a_transformer_that_knows_a_part_of_the_codes_needs_the_list() -> None:
    with pytest.raises(ValueError, match=r"taming_vqvae_5\.pt"):
        codec(lists=((0, 1, 2, 3, 0, 0, 0, 0),)).reduced(5)
    assert codec().reduced(8).small == ()


def test_a_list_of_codes_is_checked(tmp_path) -> None:
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "codec.safetensors")
    weights = read_weights(tmp_path / "codec.safetensors")
    for bad, words in (
        (torch.tensor([0.0, 1.0]), "not a list of kept codes"),
        (torch.tensor([0, 2]), "leaves numbers out"),
    ):
        torch.save(bad, tmp_path / "taming_vqvae_2.pt")
        with pytest.raises(CheckpointError, match=words):
            _ = read_weights(weights.path).code_lists
    torch.save(torch.tensor([0, 1, 0]), tmp_path / "taming_vqvae_2.pt")
    assert read_weights(weights.path).code_lists == ((0, 1, 0),)
