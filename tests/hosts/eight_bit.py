"""Run inside a host's Python path: every transformer family with its matrices in 8-bit floats, placed in the host.

    python tests/hosts/inside.py eight_bit HOST_FOLDER

A placed network must hold the very 8-bit numbers of its linear layers, and give what a plain network of the same numbers gives.
"""

from pathlib import Path

import torch
from ar_guidance.loaders.detect import Part
from ar_guidance.loaders.eight_bit import Linear
from ar_guidance.loaders.place import place_part
from ar_guidance.loaders.read import Weights
from ar_guidance.loaders.scaled import taken_apart
from ar_guidance.tests.tiny import FAMILIES
from ar_guidance.tests.tiny_tokens import TOKEN_FAMILIES

STATE = dict[str, torch.Tensor]


def in_8_bits(network: torch.nn.Module, dtype: torch.dtype, scaled: bool) -> tuple[STATE, STATE]:
    """A file's tensors with the matrices of linear layers in 8 bits, and the plain numbers they stand for."""
    stored = {key: value.clone() for key, value in network.state_dict().items()}
    meant = dict(stored)
    tables = (layer for layer in network.modules() if isinstance(layer, torch.nn.Embedding))
    shared = {id(table.weight) for table in tables}  # an output matrix that is the embedding's
    for name, layer in network.named_modules():
        key = f"{name}.weight"
        if not isinstance(layer, torch.nn.Linear) or id(layer.weight) in shared:
            continue
        scale = stored[key].abs().amax() / 200 if scaled else torch.ones(())
        stored[key] = (stored[key] / scale).to(dtype)
        meant[key] = stored[key].float() * scale
        if scaled:
            stored[f"{name}.scale_weight"] = scale
    return stored, meant


def logits(network: torch.nn.Module, tiny: object) -> torch.Tensor:
    """Of the first step."""
    null = getattr(tiny, "null", None) or network.null_condition
    conditions = (tiny.condition([3]), null(1))  # type: ignore[attr-defined]
    with torch.inference_mode():
        state = network.begin(conditions, torch.device("cpu"))
        if hasattr(network, "read"):
            return network.step(state, None, 2)
        return network.step(state, 0, None, 2)


def check(name: str, tiny: object, dtype: torch.dtype, scaled: bool) -> None:
    network = tiny.network  # type: ignore[attr-defined]
    stored, meant = in_8_bits(network, dtype, scaled)
    tensors, scales = taken_apart(stored, {})
    part = Part(
        tiny.family,
        network.config,
        tensors,
        Weights(Path(f"{name}.safetensors"), tensors),
        "",
        scales,
    )  # type: ignore[attr-defined]
    placed = place_part(part).model
    layers = [layer for layer in placed.modules() if isinstance(layer, Linear)]
    assert layers and any(layer.weight.dtype == dtype for layer in layers), name
    network.load_state_dict(meant)
    apart = (logits(placed, tiny) - logits(network, tiny)).abs().max().item()
    assert apart < 1e-3, (name, apart)
    kept = sum(layer.weight.dtype == dtype for layer in layers)
    print(
        f"{name} {str(dtype)[6:]} {'scaled' if scaled else 'plain'}: {kept} of {len(layers)} layers in 8 bits"
    )


for name, make in {**FAMILIES, **TOKEN_FAMILIES}.items():
    for dtype in (torch.float8_e4m3fn, torch.float8_e5m2):
        for scaled in (False, True):
            check(name, make(), dtype, scaled)
