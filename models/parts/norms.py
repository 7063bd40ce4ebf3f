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
        return F.rms_norm(x, x.shape[-1:], cast_like(self.weight, x), self.eps)


def plain_norm(x: Tensor) -> Tensor:
    """LayerNorm without parameters over all channels, eps 1e-6, fp32."""
    return F.layer_norm(x.float(), x.shape[-1:], eps=1e-6)
