"""The linear layer on the processor: the same numbers, and left to the layer where that does more."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from ar_guidance.models.parts import linear as ways
from ar_guidance.models.parts.linear import BLOCK, FEW, LARGE, NARROW, PARTS, linear, product, quick
from torch import nn

SIDE = 512
Linear = quick(nn).Linear


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize("shape", [(), (1, 1), (2, 1), (2, 8), (3, 11), (2, 40), (1, 64), (2, 200)])
def test_it_is_the_layer(shape, onednn, bias, monkeypatch) -> None:
    if not onednn:
        monkeypatch.setattr(ways, "onednn", lambda: None)
    torch.manual_seed(0)
    layer, x = Linear(SIDE, SIDE + PARTS, bias=bias), torch.randn(*shape, SIDE)
    assert layer.weight.numel() >= LARGE
    with torch.inference_mode():
        assert torch.allclose(layer(x), nn.Linear.forward(layer, x), atol=1e-4)
        assert layer(x).is_contiguous()  # softmaxes and sorts over columns far apart take longer


def test_every_way_is_taken() -> None:
    weight = torch.empty(SIDE, SIDE)
    taken = [ways._way(rows, weight) for rows in (1, FEW, FEW + 1, 16, 18, 32, NARROW + BLOCK)]
    turned, straight = (ways._turned, ways._straight) if ways.onednn() else (None, None)
    assert taken == [ways._in_parts] * 2 + [None, turned, straight, turned, straight]
    assert ways._way(1, weight[:8]) is ways._way(64, weight[:8]) is None


@pytest.mark.parametrize("shape", [(1, 1), (2, 8), (2, 40)])
def test_a_bias_kept_elsewhere_takes_the_layer_s_place(shape) -> None:
    torch.manual_seed(0)
    layer, x, bias = Linear(SIDE, SIDE, bias=False), torch.randn(*shape, SIDE), torch.randn(SIDE)
    with torch.inference_mode():
        assert torch.allclose(linear(layer, x, bias), nn.Linear.forward(layer, x) + bias, atol=1e-4)


def test_what_lies_in_columns_is_read_right() -> None:
    torch.manual_seed(0)
    layer = Linear(SIDE, SIDE)
    with torch.inference_mode():
        for rows in (2, 32, 40, 408):
            x = torch.randn(SIDE, rows).t()
            assert not x.is_contiguous()
            assert torch.allclose(layer(x), nn.Linear.forward(layer, x), atol=1e-4)


@pytest.mark.parametrize("bias", ["strided", "expanded", "half", "one"])
def test_a_bias_that_lies_otherwise_is_the_layer_s_own_matter(bias) -> None:
    given = {
        "strided": torch.randn(2 * SIDE)[::2],
        "expanded": torch.randn(1).expand(SIDE),
        "half": torch.randn(SIDE).bfloat16(),
        "one": torch.randn(1),
    }[bias]
    layer = Linear(SIDE, SIDE, bias=False)
    with torch.inference_mode():
        for rows in (2, 16, 100):
            assert product(layer, torch.randn(rows, SIDE), given) is None


@pytest.mark.parametrize("other", ["processor", "arguments", "numbers", "missing"])
def test_a_product_that_is_not_what_it_was_is_left_alone(other, monkeypatch) -> None:
    def multiply(x: torch.Tensor, weight: torch.Tensor, *rest: object) -> torch.Tensor:
        if other == "arguments":
            raise RuntimeError("expected 7 arguments")
        return torch.zeros(len(x), len(weight)) if other == "numbers" else x @ weight.t()

    named = {} if other == "missing" else {"_linear_pointwise": multiply}
    monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace(**named))
    machine = "riscv64" if other == "processor" else "x86_64"
    monkeypatch.setattr(ways.platform, "machine", lambda: machine)
    assert ways.onednn.__wrapped__() is None


@pytest.mark.parametrize("shape", [(0,), (2, 0)])
def test_no_rows_are_no_rows(shape) -> None:
    with torch.inference_mode():
        assert Linear(SIDE, SIDE)(torch.randn(*shape, SIDE)).shape == (*shape, SIDE)


@pytest.mark.parametrize("rows", [1, 16, 100])
def test_what_a_host_does_in_every_layer_is_done(rows) -> None:
    done: list[int] = []
    host = replace(quick(nn), before=lambda: done.append(1))  # pyright: ignore[reportArgumentType]
    layer = quick(quick(host)).Linear(SIDE, SIDE)
    with torch.inference_mode():
        layer(torch.randn(rows, SIDE))
    assert done


def test_gradients_are_the_layer_s() -> None:
    layer, x = Linear(SIDE, SIDE), torch.randn(2, 8, SIDE)
    layer(x).sum().backward()
    assert layer.weight.grad is not None and layer.weight.grad.abs().sum() > 0


def test_a_hook_is_asked() -> None:
    layer, asked = Linear(SIDE, SIDE), []
    layer.register_forward_hook(lambda *_: asked.append(1))
    with torch.inference_mode():
        layer(torch.randn(2, SIDE))
    assert asked


@pytest.mark.parametrize("rows", [2, 64])
@pytest.mark.parametrize("case", ["small", "half", "patched", "odd", "columns", "tracked"])
def test_a_layer_that_does_more_is_asked_itself(case, rows) -> None:
    layer, x = Linear(8 if case == "small" else SIDE, SIDE), torch.randn(rows, SIDE)
    if case == "small":
        x = x[..., :8]
    if case == "odd":
        layer, x = Linear(SIDE, SIDE + 1), x[:2]
    if case == "half":
        layer, x = layer.bfloat16(), x.bfloat16()
    if case == "patched":
        vars(layer)["weight_function"] = [lambda weight: weight]
    if case == "columns":
        layer.weight = nn.Parameter(torch.randn(SIDE, SIDE).t())
    with torch.set_grad_enabled(case == "tracked"):
        assert product(layer, x, layer.bias) is None
        assert torch.equal(layer(x), nn.Linear.forward(layer, x))


def test_a_host_s_layer_that_does_more_does_it() -> None:
    class Doubling(nn.Linear):
        weight_function = (2,)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(x)

    layers = quick(replace(quick(nn), Linear=Doubling))  # pyright: ignore[reportArgumentType]
    layer, x = layers.Linear(SIDE, SIDE), torch.randn(2, SIDE)
    with torch.inference_mode():
        assert torch.equal(layer(x), 2 * nn.Linear.forward(layer, x))
