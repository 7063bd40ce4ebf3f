"""The host's layers; linear ones without what it does at every call where a weight needs nothing done to it."""

import comfy.ops
import torch.nn.functional as F
from torch import Tensor, nn


class Linear(comfy.ops.manual_cast.Linear):
    """The host's: W x + b in the type and place of x, with its patches.

    The host finds out at every call what a weight needs, which takes longer than a small product. One that lies where x
    does, in its type and without patches, needs nothing.
    """

    def forward(self, input: Tensor, *args: object, **kwargs: object) -> Tensor:
        own = self._parameters  # a module looks its attributes up slowly
        weight, bias = own.get("weight"), own.get("bias")
        if (
            type(weight) is not nn.Parameter  # not there yet, or of a kind of its own
            or "bias" not in own
            or not like(weight, input)
            or not (bias is None or like(bias, input))
            or self.weight_function
            or self.bias_function
        ):
            return super().forward(input, *args, **kwargs)
        comfy.ops.run_every_op()  # a cancel acts within a step, too
        return F.linear(input, weight, bias)


class Operations(comfy.ops.manual_cast):
    """The host's layers that cast their weights, with these linear ones."""

    Linear = Linear

    @staticmethod
    def before() -> None:
        """What the host does in every layer; a network that multiplies by itself does it, too."""
        comfy.ops.run_every_op()


def like(parameter: Tensor, x: Tensor) -> bool:
    """Whether it lies where x does, in the same type."""
    return parameter.dtype is x.dtype and parameter.device == x.device
