"""Device, dtype, offloading and memory through ComfyUI's model management: the one place that decides them."""

import logging
from collections.abc import Sequence
from typing import Any, Protocol

import comfy.model_management as mm
import comfy.model_patcher
import torch
from torch import nn

from ..models.family import Family
from . import eight_bit, layers
from .detect import Part
from .eight_bit import any_in, kept, set_scales
from .pages import MappedFiles
from .scaled import plain


class Patcher(Protocol):
    """A network in ComfyUI's memory management (`comfy.model_patcher.ModelPatcher`)."""

    model: Any
    load_device: torch.device


def place_part(part: Part[Family, object]) -> Patcher:
    """Build the network of a checked part and hand it to ComfyUI: a `ModelPatcher`, weights still off the GPU."""
    load_device, offload_device = mm.get_torch_device(), mm.unet_offload_device()
    storage, compute = _dtypes(part, load_device)
    operations = eight_bit.Operations if any_in(part.tensors) else layers.Operations
    network = part.family.build(
        part.config, operations=operations, dtype=storage, device=offload_device
    ).eval()
    vars(network).update(compute_dtype=compute, device=offload_device)
    if hasattr(mm, "archive_model_dtypes"):
        mm.archive_model_dtypes(network)
    # Looked up now, not at import: newer hosts replace this class while they start.
    patcher_class = getattr(
        comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher
    )
    patcher = patcher_class(network, load_device=load_device, offload_device=offload_device)
    # Tensors that need no other type are taken as they lie in the mapped file: there is no second copy.
    network.load_state_dict(_state(network, part, storage), strict=False, assign=True)
    if operations is eight_bit.Operations:
        set_scales(network, part.scales)
        if hasattr(mm, "archive_model_dtypes"):
            mm.archive_model_dtypes(network)
    logging.info(
        "[AR Guidance] %s: %s %s, %.0f M parameters, %s",
        part.weights.path.name,
        part.family.title,
        part.family.part,
        sum(p.numel() for p in network.parameters()) / 1e6,
        str(storage).removeprefix("torch."),
    )
    return patcher


def _state(
    network: nn.Module, part: Part[Family, object], storage: torch.dtype
) -> dict[str, torch.Tensor]:
    """The tensors in the network's own types: a few must stay wider than the rest, and 8-bit matrices stay as they are."""
    own = network.state_dict()  # a host's layers may have no weights yet
    eight, files = kept(network, part.tensors), MappedFiles()
    state = {}
    for key, stored in part.tensors.items():
        value = part.family.prepare(key, part.tensors)
        if key not in eight:
            dtype = own[key].dtype if key in own else storage
            value = plain(value, part.scales.get(key), dtype)
        state[key] = value.contiguous()
        if state[key].untyped_storage().data_ptr() != stored.untyped_storage().data_ptr():
            files.let_go(stored)  # a copy in another type has been made
    return state


def _dtypes(part: Part[Family, object], device: torch.device) -> tuple[torch.dtype, torch.dtype]:
    """How weights are stored and in which type matrix products run: image decoders in fp32, as their releases do."""
    if part.family.part == "tokenizer":
        return torch.float32, torch.float32
    parameters = sum(value.numel() for value in part.tensors.values())
    possible = list(part.family.dtypes)
    storage = mm.unet_dtype(device=device, model_params=parameters, supported_dtypes=possible)
    return storage, mm.unet_manual_cast(storage, device, possible) or storage


def to_gpu(patchers: Sequence[Patcher], memory: int) -> None:
    """Ask ComfyUI to make the networks ready on their device, with `memory` bytes left for the run."""
    mm.load_models_gpu(list(patchers), memory_required=memory)
