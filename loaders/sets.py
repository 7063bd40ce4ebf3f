"""The keys of a checkpoint: names of wrappers, bookkeeping beside the weights, several sets of weights, quantised forms."""

import re
from collections.abc import Collection, Iterable, Mapping

import torch
from torch import Tensor

# What wraps a network in training and leaves its name in every key.
WRAPPERS = frozenset(
    ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_fpw_module")
)
# Parts of a key that say it belongs to training, not to the network.
BOOKKEEPING = frozenset(
    [
        "optimizer",
        "optimizers",
        "optim",
        "opt",
        "optimizer_states",
        "optimizer_state",
        "optimizer_and_scheduler",
        "scheduler",
        "lr_scheduler",
        "lr_schedulers",
        "scaler",
        "grad_scaler",
        "amp",
        "epoch",
        "epochs",
        "step",
        "steps",
        "global_step",
        "last_epoch",
        "last_iter",
        "iteration",
        "iter",
        "it",
        "rng",
        "rng_state",
        "random_state",
        "cuda_rng_state",
        "args",
        "config",
        "cfg",
        "hparams",
        "hyper_parameters",
        "callbacks",
        "loops",
        "loss",
        "losses",
        "discriminator",
        "ema_decay",
        "num_updates",
        "num_batches_tracked",
        "best_val",
    ]
)
_AVERAGED = re.compile(r"(^|[_.])(ema\d*|shadow|averaged|teacher)([_.]|$)|(_ema|ema_)")

_QUANTISED = (
    (
        re.compile(r"(^|\.)(scale_weight|scale_input|scaled_fp8|weight_scale(_inv)?|input_scale)$"),
        "scaled 8-bit floats (fp8)",
    ),
    (
        re.compile(r"\.(absmax|quant_map|nested_absmax|SCB)$|\.quant_state\.|bitsandbytes"),
        "bitsandbytes",
    ),
    (re.compile(r"\.(qweight|qzeros|g_idx)$"), "GPTQ or AWQ"),
    (re.compile(r"\.comfy_quant$"), "ComfyUI's quantisation"),
)
FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def unwrapped(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors without the names of wrappers, wherever they stand in a key; as they are where two keys would meet."""
    named = {key: ".".join(p for p in key.split(".") if p not in WRAPPERS) for key in tensors}
    if len(set(named.values())) < len(named) or not all(named.values()):
        return dict(tensors)
    return {named[key]: tensor for key, tensor in tensors.items()}


def is_bookkeeping(key: str) -> bool:
    """Whether a key belongs to training: an optimiser's state, a counter, another network's average."""
    parts = key.lower().split(".")
    return any(part in BOOKKEEPING for part in parts) or is_averaged(key)


def is_averaged(prefix: str) -> bool:
    """Whether what stands before a network's keys says that this is the averaged (EMA) set of weights."""
    return bool(_AVERAGED.search(prefix.lower().rstrip(".")))


def chosen(prefixes: Iterable[str], averaged: bool) -> list[str]:
    """Sets of weights, that to take first: the averaged or the plain one as the family's authors do, whatever the order.

    Args:
        prefixes: what stands before the keys of each set.
        averaged: whether the authors' own sampler takes the averaged weights of a file that has both.
    """
    return sorted(
        set(prefixes), key=lambda p: (is_averaged(p) != averaged, p.count("."), len(p), p)
    )


def without_others(keys: Collection[str], prefix: str, others: Collection[str]) -> list[str]:
    """Of the keys of one set those that are not of another set inside it."""
    inner = tuple(other for other in others if other != prefix and other.startswith(prefix))
    return [key for key in keys if key.startswith(prefix) and not (inner and key.startswith(inner))]


def quantised(tensors: Collection[str]) -> str:
    """What the weights are quantised with, or "" where nothing says so."""
    for pattern, name in _QUANTISED:
        if any(pattern.search(key) for key in tensors):
            return name
    return ""
