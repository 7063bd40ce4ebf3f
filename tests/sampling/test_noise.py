"""Laws of addressed noise: a pure function of its address, and distributed as the draw needs it."""

import math

import pytest
import torch
from ar_guidance.sampling.draw import AddressedSampler, Filters, Streams
from ar_guidance.sampling.noise import MASK, AddressedNoise, _mixed, _signed, mix, stream_key
from hypothesis import given
from hypothesis import strategies as st

CPU = torch.device("cpu")


def noise_of(*pairs: tuple[int, int]) -> AddressedNoise:
    return AddressedNoise([stream_key(seed, image) for seed, image in pairs])


@given(st.integers(0, MASK))
def test_tensors_mix_as_integers_do(number) -> None:
    mixed = _mixed(torch.tensor([_signed(number)]))
    assert int(mixed) & MASK == mix(number)


@given(st.data())
def test_a_position_has_the_same_noise_however_it_is_asked_for(data) -> None:
    whole = noise_of((3, 0), (3, 1)).gumbel(0, 12, 5, CPU).clone()
    noise = noise_of((3, 0), (3, 1))
    for _ in range(4):  # windows that move on, overlap, and jump back
        first = data.draw(st.integers(0, 11))
        count = data.draw(st.integers(1, 12 - first))
        assert torch.equal(noise.gumbel(first, count, 5, CPU), whole[:, first : first + count])


def test_image_i_of_a_batch_has_the_noise_it_has_alone() -> None:
    together = noise_of((7, 0), (7, 1), (8, 0)).gumbel(2, 3, 4, CPU)
    alone = [noise_of(pair).gumbel(2, 3, 4, CPU)[0] for pair in ((7, 0), (7, 1), (8, 0))]
    assert torch.equal(together, torch.stack(alone))
    assert len({tuple(row.flatten().tolist()) for row in together}) == 3


def test_it_is_gumbel_noise_and_its_numbers_do_not_follow_each_other() -> None:
    noise = noise_of((1, 0)).gumbel(0, 300, 1000, CPU)[0].double()
    uniform = (-(-noise).exp()).exp().flatten().sort().values
    expected = (torch.arange(len(uniform)) + 0.5) / len(uniform)
    assert (uniform - expected).abs().max() < 1.63 / math.sqrt(len(uniform))  # Kolmogorov, 1 %
    for other in (noise.roll(1, 0), noise.roll(1, 1)):  # next position, next code
        assert (
            abs(float(torch.corrcoef(torch.stack((noise.flatten(), other.flatten())))[0, 1])) < 0.01
        )


@pytest.mark.parametrize("filters", [Filters(), Filters(top_k=3), Filters(temperature=0.7)])
def test_tokens_are_drawn_with_the_probabilities_of_the_filtered_logits(filters) -> None:
    count, logits = 20000, torch.tensor([0.0, 1.0, -1.0, 2.0, 0.5])
    draw = AddressedSampler(filters, Streams(5, 1))
    tokens = draw(logits.expand(1, count, -1), 0)[0]
    wanted = filters.apply(logits).softmax(-1)
    seen = torch.bincount(tokens, minlength=5) / count
    assert (seen - wanted).abs().max() < 4 * math.sqrt(0.25 / count)
    assert (seen[wanted == 0] == 0).all()


def test_temperature_zero_is_greedy() -> None:
    logits = torch.randn(2, 3, 9, generator=torch.Generator().manual_seed(0))
    draw = AddressedSampler(Filters(temperature=0), Streams(0, 2))
    assert torch.equal(draw(logits, 4), logits.argmax(-1))
