"""Filters and draws: which tokens may appear, and with which frequency."""

import math

import pytest
import torch
from ar_guidance.sampling.draw import (
    Filters,
    Streams,
    StreamSampler,
    inverse_cdf,
)
from ar_guidance.sampling.truncation import keep_likeliest, keep_top_k, keep_top_p
from hypothesis import given
from hypothesis import strategies as st

CPU = torch.device("cpu")
vectors = st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=40).map(torch.tensor)


@given(vectors, st.integers(1, 50))
def test_top_k_keeps_the_largest_and_ties(logits, k) -> None:
    kept = keep_top_k(logits, k) if k < len(logits) else logits
    survivors = kept.isfinite()
    assert survivors.sum() >= min(k, len(logits))
    if not survivors.all():
        assert logits[survivors].min() > logits[~survivors].max()


@given(vectors, st.floats(0.01, 0.99))
def test_top_p_keeps_a_set_that_reaches_p(logits, p) -> None:
    kept = keep_top_p(logits, p).isfinite()
    probabilities = logits.double().softmax(-1)
    assert kept[logits.argmax()] or (logits[kept] == logits.max()).any()
    assert probabilities[kept].sum() >= p - 1e-5


rows = st.lists(st.lists(st.integers(-6, 6), min_size=20, max_size=20), min_size=1, max_size=3)


@given(rows, st.integers(0, 25), st.floats(0, 1))
def test_the_processor_s_way_removes_the_same_tokens_ties_included(rows, k, p) -> None:
    logits = torch.tensor(rows) / 3
    there = keep_top_k(logits, k) if 0 < k < logits.shape[-1] else logits
    there = keep_top_p(there, p) if 0 < p < 1 else there
    assert torch.equal(keep_likeliest(logits, k, p), there)


@given(vectors, st.floats(0.01, 1.0))
def test_min_p_is_relative_to_the_likeliest(logits, share) -> None:
    kept = Filters(min_p=share).apply(logits).isfinite()
    ratio = (logits - logits.max()).double().exp()
    assert kept[logits.argmax()]
    assert (ratio[kept] >= share * (1 - 1e-4)).all() and (ratio[~kept] <= share * (1 + 1e-4)).all()


@given(vectors)
def test_filters_copy(logits) -> None:
    before = logits.clone()
    Filters(0.7, 3, 0.8, 0.1).apply(logits)
    assert torch.equal(before, logits)


def test_filters_off_change_nothing() -> None:
    logits = torch.randn(3, 9)
    assert Filters().apply(logits) is logits
    assert Filters(top_k=9).apply(logits) is logits


@given(vectors, st.floats(0, 1, exclude_max=True, width=32))
def test_inverse_cdf_never_draws_what_was_removed(logits, u) -> None:
    filtered = Filters(top_k=2).apply(logits)
    token = inverse_cdf(filtered, torch.tensor(u))
    assert 0 <= token < len(logits) and filtered[token].isfinite()


def test_inverse_cdf_at_the_very_end() -> None:
    logits = torch.full((1000,), -math.inf)
    logits[:7] = 0.1
    assert inverse_cdf(logits, torch.tensor(1 - 2**-24)) == 6


def test_frequencies_are_the_probabilities() -> None:
    logits = torch.tensor([0.0, 1.0, -1.0, 2.0])
    uniforms = (torch.arange(20000) + 0.5) / 20000
    tokens = inverse_cdf(logits.expand(20000, 4), uniforms)
    frequencies = torch.bincount(tokens, minlength=4) / 20000
    assert torch.allclose(frequencies, logits.softmax(-1), atol=1e-3)


def test_greedy_takes_the_likeliest() -> None:
    logits = torch.randn(2, 5, 8)
    draw = StreamSampler(Filters(temperature=0), Streams(0, 2))
    assert torch.equal(draw(logits), logits.argmax(-1))


@given(st.integers(0, 2**64 - 1), st.integers(1, 5))
def test_image_i_of_a_batch_is_image_i_alone(seed, batch) -> None:
    together = Streams(seed, batch).uniforms((6,), CPU)
    alone = [Streams(seed, 1, first=i).uniforms((6,), CPU)[0] for i in range(batch)]
    assert torch.equal(together, torch.stack(alone))


def test_neighbouring_seeds_share_no_image() -> None:
    numbers = [Streams(seed, 8).uniforms((1,), CPU).flatten().tolist() for seed in range(8)]
    flat = [number for row in numbers for number in row]
    assert len(set(flat)) == len(flat)


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": -1},
        {"temperature": math.nan},
        {"top_k": -2},
        {"top_p": 1.5},
        {"min_p": -0.1},
    ],
)
def test_refusals(settings) -> None:
    with pytest.raises(ValueError):
        Filters(**settings)
