"""The linear layer on the processor: the same numbers, and left to the layer where that does more."""

import pytest
import torch
from ar_guidance.models.parts.linear import FEW, LARGE, PARTS, linear
from torch import nn

SIDE = 512


@pytest.fixture(autouse=True)
def two_cores(monkeypatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (2, 8), (3, 11), (2, 40), (2, FEW)])
def test_it_is_the_layer(shape, bias) -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(SIDE, SIDE + PARTS, bias=bias), torch.randn(*shape, SIDE)
    assert layer.weight.numel() >= LARGE
    with torch.inference_mode():
        assert torch.allclose(linear(layer, x), layer(x), atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1), (2, 8)])
def test_a_bias_kept_elsewhere_takes_the_layer_s_place(shape) -> None:
    torch.manual_seed(0)
    layer, x, bias = nn.Linear(SIDE, SIDE, bias=False), torch.randn(*shape, SIDE), torch.randn(SIDE)
    with torch.inference_mode():
        assert torch.allclose(linear(layer, x, bias), layer(x) + bias, atol=1e-4)


def test_what_lies_in_columns_is_read_right() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(SIDE, SIDE)
    with torch.inference_mode():
        for rows in (2, 40, FEW + 8):
            x = torch.randn(SIDE, rows).t()
            assert not x.is_contiguous()
            assert torch.allclose(linear(layer, x), layer(x), atol=1e-4)


@pytest.mark.parametrize("case", ["small", "half", "patched", "hooked", "one core", "odd"])
def test_a_layer_that_does_more_is_asked_itself(case, monkeypatch) -> None:
    layer, x = nn.Linear(8 if case == "small" else SIDE, SIDE), torch.randn(2, 4, SIDE)
    if case == "small":
        x = x[..., :8]
    if case == "odd":
        layer = nn.Linear(SIDE, SIDE + 1)
    if case == "half":
        layer, x = layer.bfloat16(), x.bfloat16()
    if case == "patched":
        layer.weight_function = [lambda weight: weight]
    if case == "hooked":
        layer.register_forward_hook(lambda *_: None)
    if case == "one core":
        monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    asked = []
    forward = layer.forward
    monkeypatch.setattr(layer, "forward", lambda given: asked.append(1) or forward(given))
    with torch.inference_mode():
        linear(layer, x)
    assert asked
