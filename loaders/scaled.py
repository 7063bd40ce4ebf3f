"""Weights in 8-bit floats (fp8): what a file says of their scales, taken apart and checked.

A stored number times its tensor's scale is the weight. Three notations are read: `X.scale_weight` beside `X.weight`,
`X.weight_scale` with ComfyUI's `_quantization_metadata` in the header, and the same with a tensor `X.comfy_quant`. Scales of
activations (`scale_input`, `input_scale`) are for products in 8 bits, which this pack does not do: they are left out.
"""

import json
import re
from collections.abc import Mapping

import torch
from torch import Tensor

from .kinds import read_json_text
from .quote import listed, quoted

EIGHT_BITS = (torch.float8_e4m3fn, torch.float8_e5m2)
FORMATS = {str(dtype).removeprefix("torch.") for dtype in EIGHT_BITS}
HEADER = "_quantization_metadata"

_SCALE = re.compile(r"^(.+)\.(?:scale_weight|weight_scale)$")
_BESIDE = re.compile(
    r"(^|\.)(scaled_fp8|scale_input|input_scale|scale_weight|weight_scale|comfy_quant)$"
)
_NOTE = ".comfy_quant"


def taken_apart(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The tensors without what stands beside them, and the scale () in single precision of every weight that has one.

    Args:
        tensors: of one network, under its own keys.
        metadata: the file's header; names of layers in it may have anything before the network's own.

    Raises:
        ValueError: a scale that is missing, of another shape than one number, or not a positive finite number; a form of
            quantisation other than 8-bit floats.
    """
    scales = {}
    for key, value in tensors.items():
        if found := _SCALE.match(key):
            scales[f"{found[1]}.weight"] = _number(key, value)
    if alone := [key for key in scales if key not in tensors]:
        raise ValueError(f"there are scales for {listed(alone)}, but no such weights")
    declared = _declared(tensors, metadata)
    for layer in declared:
        weight = f"{layer}.weight"
        if tensors.get(weight, torch.empty(0)).dtype in EIGHT_BITS and weight not in scales:
            raise ValueError(f"the scale of {quoted(weight)} is missing")
    # Without a list of its layers, a file that has scales has one for every matrix.
    if any(key.endswith("scaled_fp8") for key in tensors) or (scales and not declared):
        lost = [
            k
            for k, v in tensors.items()
            if v.dtype in EIGHT_BITS and v.dim() == 2 and k not in scales
        ]
        if lost:
            raise ValueError(f"the scale of {listed(lost)} is missing")
    return {key: value for key, value in tensors.items() if not is_beside(key)}, scales


def is_beside(key: str) -> bool:
    """Whether a key stands beside a weight in 8 bits and is none itself."""
    return bool(_BESIDE.search(key))


def _number(key: str, value: Tensor) -> Tensor:
    """A scale as one number ()."""
    if value.numel() != 1 or not value.is_floating_point():
        raise ValueError(
            f"the scale {quoted(key)} should be one number, and is {tuple(value.shape)} of"
            f" {str(value.dtype).removeprefix('torch.')}"
        )
    number = value.detach().float().reshape(())
    if not (number.isfinite() and number > 0):
        raise ValueError(f"the scale {quoted(key)} is {number.item()}, not a positive number")
    return number


def _declared(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> list[str]:
    """Layers that the file says are quantised, as the network's keys name them."""
    layers: dict[str, object] = {}
    for key, value in tensors.items():
        if key.endswith(_NOTE):
            layers[key.removesuffix(_NOTE)] = _json(
                bytes(value.flatten().to(torch.uint8).tolist()).decode("utf-8", "replace")
            )
    if HEADER in metadata:
        told = _json(metadata[HEADER])
        inner = told.get("layers") if isinstance(told, dict) else None
        if not isinstance(inner, dict):
            raise ValueError(f"its {HEADER} lists no layers")
        own = {key.removesuffix(".weight") for key in tensors if key.endswith(".weight")}
        for name, entry in inner.items():
            layers[_own_name(str(name), own)] = entry
    for name, entry in layers.items():
        form = entry.get("format") if isinstance(entry, dict) else None
        if form not in FORMATS:
            raise ValueError(
                f"{quoted(name)} is quantised as {quoted(form)}; of ComfyUI's forms this pack reads {listed(sorted(FORMATS))}"
            )
    return list(layers)


def _own_name(name: str, own: set[str]) -> str:
    """A layer's name without what stands before the network's own keys."""
    parts = name.split(".")
    return next((n for i in range(len(parts)) if (n := ".".join(parts[i:])) in own), name)


def _json(text: str) -> object:
    try:
        return read_json_text(text)
    except (ValueError, json.JSONDecodeError) as error:
        raise ValueError("what it says of its quantisation cannot be read") from error


def plain(value: Tensor, scale: Tensor | None, dtype: torch.dtype) -> Tensor:
    """A weight in an ordinary type: times its scale, in single precision."""
    return value.to(dtype) if scale is None else (value.float() * scale).to(dtype)
