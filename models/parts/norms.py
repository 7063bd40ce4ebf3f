"""Normalisation layers that networks share."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from .cast import cast_like
from .operations import Place


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight over the last axis; statistic in fp32, result in fp32."""

    def __init__(self, width: int, eps: float = 1e-5, **place: Unpack[Place]) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(width, **place))

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        weight = cast_like(self.weight, x)
        if x.device.type != "cpu" or torch.is_grad_enabled():
            return F.rms_norm(x, x.shape[-1:], weight, self.eps)
        norm = torch.linalg.vector_norm(
            x, dim=-1, keepdim=True
        )  # PyTorch's own takes ten operations
        mean = torch.addcmul(x.new_full((), self.eps), norm, norm, value=1 / x.shape[-1])
        return (x * mean.rsqrt_()).mul_(weight)


def plain_norm(x: Tensor) -> Tensor:
    """LayerNorm without parameters over all channels, eps 1e-6, fp32."""
    return F.layer_norm(x.float(), x.shape[-1:], eps=1e-6)
