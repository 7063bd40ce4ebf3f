"""Weight normalisation, done once at load (arXiv 2312.02696, Eq. 47 and 66).

    w = gain / sqrt(n) * v / (eps + RMS(v)),    n = numbers per output channel

v are the stored weights: averages over the training, so their rows do not have norm 1. The network holds w / gain and,
apart, the gains. Where a file stores a gain in half precision, gain / sqrt(n) is rounded to half, as the authors' code
does; a file of fp32 gains moves the denoised image by up to 5e-4.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from .blocks import normalised

_GAINED = {"emb_gain": "emb_linear.weight", "out_gain": "out_conv.weight"}  # gain -> its layer


def folded(key: str, tensors: Mapping[str, Tensor]) -> Tensor:
    """A tensor of the file as the network takes it, fp32.

    Raises:
        KeyError: the weight that a gain belongs to is missing.
    """
    tensor = tensors[key]
    name = key.rpartition(".")[2]
    if name == "weight":
        weight = tensor.float()
        fan_in = weight[0].numel()
        return normalised(weight, tuple(range(1, weight.ndim))) / math.sqrt(fan_in)
    if name in _GAINED:
        root = math.sqrt(tensors[key.removesuffix(name) + _GAINED[name]][0].numel())
        return (tensor / root).float() * root
    return tensor.to(torch.float32)


def renamed(key: str, tensor: Tensor) -> tuple[str, Tensor]:
    """The file's name of a tensor -> the network's: attention is a module of its own here."""
    return key.replace(".attn_qkv.", ".attn.qkv.").replace(".attn_proj.", ".attn.proj."), tensor
