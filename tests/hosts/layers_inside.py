"""Run inside a host's Python path: the pack's linear layer beside the host's own, which it is made from.

    python tests/hosts/inside.py layers_inside HOST_FOLDER

Prints, case by case, whether the layer left its weight to the host. Wherever it did not, a cancel must act in it as in the host's.
"""

from collections.abc import Callable

import comfy.model_management as mm
import comfy.ops
import torch
from ar_guidance.loaders.layers import Linear, Operations
from ar_guidance.models.parts.linear import quick

asked: list[object] = []
cast = comfy.ops.cast_bias_weight


def counted(layer: object, *args: object, **kwargs: object) -> object:
    asked.append(layer)
    return cast(layer, *args, **kwargs)


def doubled(weight: torch.Tensor) -> torch.Tensor:
    return weight * 2


def with_patch(name: str) -> Callable[[Linear], None]:
    return lambda layer: setattr(layer, name, [doubled])


def check(
    case: str,
    stored: torch.dtype = torch.float32,
    given: torch.dtype = torch.float32,
    bias: bool = True,
    change: Callable[[Linear], None] = lambda layer: None,
) -> None:
    """The numbers are the host's, bit for bit."""
    torch.manual_seed(0)
    numbers = {"weight": torch.randn(6, 4, dtype=stored), "bias": torch.randn(6, dtype=stored)}
    if not bias:
        del numbers["bias"]
    x = torch.randn(2, 3, 4, dtype=given)
    layers = [
        kind(4, 6, bias=bias, dtype=stored) for kind in (Linear, comfy.ops.manual_cast.Linear)
    ]
    for layer in layers:
        layer.load_state_dict(numbers, assign=True)
        change(layer)
    own, host = layers
    asked.clear()
    with torch.inference_mode():
        made = own(x)
        print(f"{case}: {'host' if own in asked else 'itself'}")
        assert torch.equal(made, host(x)) and made.dtype == given, case


def check_bias_of_another_kind() -> None:
    """A bias that is no parameter is added, too."""
    layer = Linear(4, 6, bias=False)
    del layer.bias
    layer.register_buffer("bias", torch.ones(6))
    torch.nn.init.zeros_(layer.weight)
    with torch.inference_mode():
        print("bias is a buffer:", layer(torch.randn(2, 4)).unique().tolist())


def check_cancel(layer: torch.nn.Linear, rows: int) -> None:
    """A layer that multiplies by itself stops where a cancel has been asked for."""
    mm.interrupt_current_processing(True)
    try:
        with torch.inference_mode():
            layer(torch.randn(rows, layer.in_features))
    except mm.InterruptProcessingException:
        print(f"cancelled {layer.out_features} x {rows}")
    finally:
        mm.interrupt_current_processing(False)


comfy.ops.cast_bias_weight = counted
check("plain")
check("no bias", bias=False)
check("half precision", stored=torch.bfloat16, given=torch.bfloat16)
check("kept in half precision", stored=torch.bfloat16)
check("patched weight", change=with_patch("weight_function"))
check("patched bias", change=with_patch("bias_function"))
check_bias_of_another_kind()
check_cancel(Linear(4, 6), 1)
for rows in (1, 5, 64):
    check_cancel(quick(Operations).Linear(1024, 1024), rows)
