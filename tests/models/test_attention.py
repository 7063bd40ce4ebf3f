"""Attention over the cache: shared keys and values, rotary positions."""

import math

import pytest
import torch
from ar_guidance.models.parts.attention import Sight, attend
from ar_guidance.models.parts.cache import KVCache, PositionWeights
from ar_guidance.models.parts.causal import causal
from ar_guidance.models.parts.norms import RMSNorm
from ar_guidance.models.parts.rope import (
    as_complex,
    as_pairs,
    line_angles,
    rotate,
    rotate_halves,
    turns,
)
from hypothesis import given
from hypothesis import strategies as st


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.booleans(), st.booleans())
def test_shared_keys_are_repeated_keys(groups, shared, new, padded, weighted) -> None:
    length = 6 + new
    q, k, v = random(4, groups * shared, new, 8), *random(2, 4, groups, length, 8, seed=1)
    hidden = causal(length, None, q.device)[-new:]
    if padded:
        hidden = (
            hidden | (torch.arange(length) < torch.tensor([0, 2, 1, 0])[:, None])[:, None, None]
        )
    weights = None
    if weighted:
        values, keys = torch.rand(2, 2, 4, generator=torch.Generator().manual_seed(2))
        weights = PositionWeights(first_row=2, start=1, values=values, keys=keys)
    wide = [x.repeat_interleave(shared, dim=1) for x in (k, v)]
    expected = attend(q, *wide, hidden, weights)
    assert torch.allclose(attend(q, k, v, hidden, weights), expected, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("new", [1, 2, 5])
@pytest.mark.parametrize("padded", [False, True])
def test_weights_act_on_their_rows_alone(dtype, new, padded) -> None:
    """Against the definition in float64: softmax(q k diag(a)) diag(w) v, where w = a = 1 in the first rows."""
    length = 40 + new
    q, k, v = random(5, 2, new, 8), *random(2, 5, 2, length, 8, seed=1)
    q, k, v = (x.to(dtype) for x in (q, k, v))
    values, keys = torch.rand(2, 2, 30, generator=torch.Generator().manual_seed(2))
    columns = torch.ones(2, 5, 1, 1, length, dtype=torch.float64)
    columns[0, 3:, 0, 0, 4:34], columns[1, 3:, 0, 0, 4:34] = values, keys
    hidden = None
    if padded:
        starts = torch.tensor([0, 2, 1, 0, 3])
        hidden = (torch.arange(length) < starts[:, None])[:, None, None]
    scores = q.double() @ k.double().transpose(-1, -2) / math.sqrt(8) * columns[1]
    if hidden is not None:
        scores = scores.masked_fill(hidden, -math.inf)
    expected = (scores.softmax(-1) * columns[0]) @ v.double()
    made = attend(q, k, v, hidden, PositionWeights(3, 4, values, keys))
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    assert made.dtype == dtype and torch.allclose(made.double(), expected, atol=tolerance)


def test_the_cache_holds_the_shared_heads_only() -> None:
    cache = KVCache(1, 2, 2, 5, 8, torch.float32, torch.device("cpu"))
    table = turns(line_angles(torch.arange(3), 4))
    q, k, v = random(2, 6, 3, 8), random(2, 2, 3, 8, seed=1), random(2, 2, 3, 8, seed=2)
    out = Sight(table, causal(3, None, q.device), cache).attend(0, q, k, v)
    assert out.shape == (2, 3, 6 * 8)
    assert torch.equal(cache.values[0, :, :, :3], v)
    assert torch.equal(cache.keys[0, :, :, :3], rotate(k, table))


@pytest.mark.parametrize("turn", [rotate, rotate_halves])
def test_scores_depend_on_the_distance_alone(turn) -> None:
    q, k = random(1, 1, 1, 8), random(1, 1, 1, 8, seed=1)

    def score(p: int, r: int) -> float:
        a, b = (turns(line_angles(torch.tensor([n]), 4, 500.0)) for n in (p, r))
        return (turn(q, a) * turn(k, b)).sum().item()

    assert score(9, 4) == pytest.approx(score(5, 0), abs=1e-4)
    assert score(9, 4) != pytest.approx(score(4, 9), abs=1e-2)


def test_halves_pair_a_component_with_the_one_half_a_head_further() -> None:
    x = torch.zeros(1, 1, 2, 6)
    x[..., 1] = 1.0
    angles = line_angles(torch.arange(2), 3, 7.0)
    turned = rotate_halves(x, turns(angles))[0, 0, 1]
    expected = torch.zeros(6)
    expected[1], expected[4] = angles[1, 1].cos(), angles[1, 1].sin()
    assert torch.allclose(turned, expected)


def test_rows_may_have_positions_of_their_own() -> None:
    x, places = random(2, 3, 4, 8), torch.tensor([[0, 1, 2, 3], [0, 0, 1, 2]])
    table = turns(line_angles(places, 4))
    turned = rotate_halves(x, table)
    for row in range(2):
        alone = rotate_halves(x[row : row + 1], turns(line_angles(places[row], 4)))
        assert torch.equal(turned[row : row + 1], alone)


def test_other_devices_turn_as_the_processor_does() -> None:
    torch.manual_seed(0)
    pairs, table = torch.randn(2, 3, 5, 4, 2), turns(line_angles(torch.arange(5), 4))
    assert torch.allclose(as_complex(pairs, table), as_pairs(pairs, table), atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 1, 8), (3, 7, 24)])
def test_a_norm_is_pytorch_s(shape) -> None:
    torch.manual_seed(0)
    norm, x = RMSNorm(shape[-1], eps=1e-3), torch.randn(shape) * 0.1
    with torch.no_grad():
        norm.weight.normal_()
        expected = torch.nn.functional.rms_norm(x, shape[-1:], norm.weight, 1e-3)
        assert torch.allclose(norm(x), expected, atol=1e-5)
        assert norm(torch.zeros(shape)).abs().max() == 0
    assert norm(x).requires_grad
