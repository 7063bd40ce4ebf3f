"""Confidence and entropy of both heads: bits measure like the one categorical head over all tokens they spell."""

import math

import pytest
import torch
from ar_guidance.guidance.head import CATEGORICAL, Head
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor


def spelled(logits: Tensor, bits: int) -> Tensor:
    """Log-probabilities (B, T, 2^D) of every token D bits can spell, from flat channels (B, T, 2 D)."""
    each = logits.unflatten(-1, (bits, 2)).log_softmax(-1)
    tokens = [
        sum(each[..., bit, code >> bit & 1] for bit in range(bits)) for code in range(2**bits)
    ]
    return torch.stack(tokens, dim=-1)  # type: ignore[arg-type]


@given(st.integers(1, 6), st.integers(0, 99), st.floats(0.1, 8))
def test_bits_are_a_categorical_head_over_what_they_spell(bits, seed, spread) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(2, 3, 2 * bits, generator=generator)
    head, joint = Head(bits), spelled(logits, bits)
    assert torch.allclose(head.confidence(logits), CATEGORICAL.confidence(joint), atol=1e-5)
    assert torch.allclose(head.entropy(logits), CATEGORICAL.entropy(joint), atol=1e-5)
    drawn = torch.randint(2, (2, 3, bits), generator=generator)
    codes = (drawn << torch.arange(bits)).sum(-1)
    of_drawn = CATEGORICAL.confidence(spelled(logits / 0.5, bits), codes)
    assert torch.allclose(head.confidence(logits, drawn, 0.5), of_drawn, atol=1e-5)


@pytest.mark.parametrize("head", [CATEGORICAL, Head(4)])
def test_ends_of_the_range(head) -> None:
    flat, certain = torch.zeros(1, 1, 8), torch.zeros(1, 1, 8)
    certain[..., ::2] = 200.0 if head.bits else 0.0
    certain[..., 0] = 200.0
    count = 2**head.bits if head.bits else 8
    assert head.entropy(flat).item() == pytest.approx(1.0)
    assert head.confidence(flat).item() == pytest.approx(1 / count)
    assert head.entropy(certain).item() == 0.0
    assert head.confidence(certain).item() == 1.0


def test_a_head_is_told_from_the_logits() -> None:
    assert Head.of(torch.zeros(2, 3, 8)) == CATEGORICAL
    assert Head.of(torch.zeros(2, 3, 4, 2)) == Head(4)
    logits = torch.randn(2, 3, 4, 2)
    assert torch.equal(Head(4).unflatten(logits.flatten(2)), logits)
    assert CATEGORICAL.unflatten(logits.flatten(2)).shape == (2, 3, 8)


def test_a_greedy_sampler_has_no_temperature() -> None:
    logits = torch.randn(2, 3, 9, generator=torch.Generator().manual_seed(1))
    tokens = torch.randint(9, (2, 3), generator=torch.Generator().manual_seed(2))
    expected = logits.softmax(-1)
    assert torch.allclose(CATEGORICAL.confidence(logits), expected.amax(-1))
    of_token = (logits / 0.7).softmax(-1).gather(-1, tokens[..., None])[..., 0]
    assert torch.allclose(CATEGORICAL.confidence(logits, tokens, 0.7), of_token)
    greedy = CATEGORICAL.confidence(logits, tokens, 0.0)
    assert torch.equal(greedy, CATEGORICAL.confidence(logits, tokens))


def test_entropy_is_a_share_of_the_logarithm_of_the_classes() -> None:
    logits = torch.tensor([[[0.0, 0.0, -math.inf, -math.inf]]])
    assert CATEGORICAL.entropy(logits).item() == pytest.approx(0.5)


@pytest.mark.parametrize("bits", [0, 4])
def test_both_measures_of_one_softmax_are_those_of_each(bits: int) -> None:
    logits = torch.randn(2, 7, 8, generator=torch.Generator().manual_seed(0)) * 3
    logits[0, 1, 2] = -math.inf if not bits else 5.0
    head, kept = Head(bits), logits.clone()
    entropy, confidence = head.entropy_and_confidence(logits, 3)
    assert torch.allclose(entropy, head.entropy(logits[:, :3]))
    assert torch.allclose(confidence, head.confidence(logits[:, 3:]))
    assert torch.equal(logits, kept)
