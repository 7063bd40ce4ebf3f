"""Attention without a mask goes through the kernel chosen for the run; everything else does not."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from ar_guidance.models.parts.attention import attend_many
from ar_guidance.models.parts.cache import PositionWeights
from ar_guidance.models.parts.plain_attention import attend_by, attend_plainly
from ar_guidance.tests.tiny import TinyModel, tiny_hart, tiny_infinity, tiny_switti, tiny_var
from torch import Tensor


class Counting:
    """PyTorch's attention, by its definition, and how often it was asked."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        self.shapes.append(tuple(q.shape))
        return (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1) @ v


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("scale", [None, 0.3, 1.0])
def test_the_chosen_kernel_gives_the_same(scale: float | None) -> None:
    q, k, v = random(2, 3, 5, 8), random(2, 3, 9, 8, seed=1), random(2, 3, 9, 8, seed=2)
    plain, kernel = attend_plainly(q, k, v, scale=scale), Counting()
    chosen = attend_plainly(q, k, v, kernel, scale)
    assert torch.allclose(plain, F.scaled_dot_product_attention(q, k, v, scale=scale))
    assert torch.allclose(chosen, plain, atol=1e-5) and kernel.shapes == [(2, 3, 5, 8)]


def test_masks_weights_and_single_tokens_stay_with_pytorch() -> None:
    q, k, v = random(2, 3, 5, 8), random(2, 3, 9, 8, seed=1), random(2, 3, 9, 8, seed=2)
    weights = PositionWeights(first_row=1, start=0, values=torch.rand(1, 9))
    kernel = Counting()
    attend_many(q, k, v, seen=torch.ones(5, 9, dtype=torch.bool), kernel=kernel)
    attend_many(q, k, v, weights=weights, kernel=kernel)
    attend_many(q[:, :, :1], k, v, kernel=kernel)
    assert kernel.shapes == [(1, 3, 5, 8)]  # the row without weights
    attend_many(q, k, v, kernel=kernel)
    assert kernel.shapes[1:] == [(2, 3, 5, 8)]


@pytest.mark.parametrize("made", [tiny_var, tiny_switti, tiny_infinity, tiny_hart])
def test_a_run_asks_the_chosen_kernel(made: Callable[[], TinyModel]) -> None:
    model, kernel = made(), Counting()
    plain = model.sample([1, 2])
    attend_by(model.network, kernel)
    chosen = model.sample([1, 2])
    assert kernel.shapes and all(shape[2] > 2 for shape in kernel.shapes)
    for one, other in zip(plain.tokens, chosen.tokens, strict=True):
        assert one.shape == other.shape
        assert (one == other).float().mean() > 0.9  # a near-tie may fall otherwise
