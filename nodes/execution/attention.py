"""The attention that the host's user chose (`--use-sage-attention` and the like), for this pack's models."""

import torch
import torch.nn.functional as F
from comfy.cli_args import args
from comfy.ldm.modules import attention as host
from torch import Tensor

from ...models.parts.plain_attention import Kernel

HALF = (torch.float16, torch.bfloat16)
# What the host takes where nothing else was chosen and PyTorch's own is thought slow: not a choice of anybody's.
NOT_CHOSEN = ("attention_pytorch", "attention_basic")
FALLBACK = "attention_sub_quad"
ANY_PRECISION = ("attention_split", "attention_sub_quad", "attention_xformers")


def chosen_attention() -> Kernel | None:
    """The host's `optimized_attention` as a kernel; None where it is PyTorch's own, or only what the host falls back on.

    Kernels for half precision are given no other numbers.
    """
    function = host.optimized_attention
    name = getattr(function, "__name__", "")
    if name in NOT_CHOSEN or (name == FALLBACK and not args.use_quad_cross_attention):
        return None

    def kernel(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if name not in ANY_PRECISION and q.dtype not in HALF:
            return F.scaled_dot_product_attention(q, k, v)
        heads = q.shape[1]
        return function(q, k, v, heads, skip_reshape=True, skip_output_reshape=True)

    return kernel
