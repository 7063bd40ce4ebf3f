"""Raw parameters and buffers may stay on another device when a host loads a model in part."""

from torch import Tensor


def cast_like(parameter: Tensor, activation: Tensor) -> Tensor:
    """`parameter` on the device and in the dtype of `activation` (a new tensor: never write into it)."""
    return parameter.to(device=activation.device, dtype=activation.dtype)
