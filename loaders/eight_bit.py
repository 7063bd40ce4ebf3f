"""Linear layers whose weights stay in 8 bits: ComfyUI's own, with the scale that the file gives for each."""

from collections.abc import Mapping

from torch import Tensor, nn

from . import layers
from .scaled import EIGHT_BITS


class Linear(layers.Linear):
    """W (s x) + b: the host casts the weight when it is used, and the scale of its whole tensor is put on the input."""

    weight_scale: float = 1.0

    def forward(self, input: Tensor, *args: object, **kwargs: object) -> Tensor:
        if self.weight_scale != 1 and self.weight.dtype in EIGHT_BITS:
            # in single precision: a scale rounded to half precision would be off for the whole layer
            input = (input.float() * self.weight_scale).to(input.dtype)
        return super().forward(input, *args, **kwargs)


class Operations(layers.Operations):
    """The same with these linear ones."""

    Linear = Linear


def kept(network: nn.Module, tensors: Mapping[str, Tensor]) -> set[str]:
    """Of the tensors in 8 bits those that the network's linear layers can take as they are."""
    weights = {
        f"{name}.weight" for name, layer in network.named_modules() if isinstance(layer, Linear)
    }
    return {key for key in weights if key in tensors and tensors[key].dtype in EIGHT_BITS}


def set_scales(network: nn.Module, scales: Mapping[str, Tensor]) -> None:
    """Tell the linear layers the scales of their weights."""
    for name, layer in network.named_modules():
        scale = scales.get(f"{name}.weight")
        if scale is not None and isinstance(layer, Linear):
            layer.weight_scale = float(scale)


def any_in(tensors: Mapping[str, Tensor]) -> bool:
    """Whether any is in 8 bits."""
    return any(value.dtype in EIGHT_BITS for value in tensors.values())
