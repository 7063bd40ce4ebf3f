"""The linear layer for a few positions: the same numbers, and left to the layer where that does more."""

import pytest
import torch
from ar_guidance.models.parts.linear import LARGE, linear
from torch import nn

SIDE = 512


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (2, 8), (3, 11), (2, 40)])
def test_it_is_the_layer(shape, bias) -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(SIDE, SIDE + 2, bias=bias), torch.randn(*shape, SIDE)
    assert layer.weight.numel() >= LARGE
    with torch.inference_mode():
        assert torch.allclose(linear(layer, x), layer(x), atol=1e-4)


@pytest.mark.parametrize("case", ["small", "half", "patched", "hooked"])
def test_a_layer_that_does_more_is_asked_itself(case, monkeypatch) -> None:
    layer, x = nn.Linear(8 if case == "small" else SIDE, SIDE), torch.randn(2, 4, SIDE)
    if case == "small":
        x = x[..., :8]
    if case == "half":
        layer, x = layer.bfloat16(), x.bfloat16()
    if case == "patched":
        layer.weight_function = [lambda weight: weight]
    if case == "hooked":
        layer.register_forward_hook(lambda *_: None)
    asked = []
    forward = layer.forward
    monkeypatch.setattr(layer, "forward", lambda given: asked.append(1) or forward(given))
    with torch.inference_mode():
        linear(layer, x)
    assert asked
