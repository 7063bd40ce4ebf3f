"""Device, dtype, offloading and memory through ComfyUI's model management: the one place that decides them."""

import logging
from collections.abc import Sequence
from typing import Any, Protocol, cast

import comfy.model_management as mm
import comfy.model_patcher
import comfy.ops
import torch
from torch import nn

from ..models.family import Family
from ..models.parts.causal import CausalNetwork
from ..models.parts.network import Transformer
from ..models.parts.sizes import Codec, SteppedConfig, TransformerConfig
from ..models.parts.text import NetworkCondition
from .detect import Part
from .eight_bit import Operations, any_in, kept, set_scales
from .scaled import plain


class Patcher(Protocol):
    """A network in ComfyUI's memory management (`comfy.model_patcher.ModelPatcher`)."""

    model: Any
    load_device: torch.device


def place_part(part: Part[Family, object]) -> Patcher:
    """Build the network of a checked part and hand it to ComfyUI: a `ModelPatcher`, weights still off the GPU."""
    load_device, offload_device = mm.get_torch_device(), mm.unet_offload_device()
    storage, compute = _dtypes(part, load_device)
    operations = Operations if any_in(part.tensors) else comfy.ops.manual_cast
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
    if operations is Operations:
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
    eight = kept(network, part.tensors)
    state = {}
    for key in part.tensors:
        value = part.family.prepare(key, part.tensors)
        if key not in eight:
            dtype = own[key].dtype if key in own else storage
            value = plain(value, part.scales.get(key), dtype)
        state[key] = value.contiguous()
    return state


def _dtypes(part: Part[Family, object], device: torch.device) -> tuple[torch.dtype, torch.dtype]:
    """How weights are stored and in which type matrix products run: image decoders in fp32, as their releases do."""
    if part.family.part == "tokenizer":
        return torch.float32, torch.float32
    parameters = sum(value.numel() for value in part.tensors.values())
    possible = list(part.family.dtypes)
    storage = mm.unet_dtype(device=device, model_params=parameters, supported_dtypes=possible)
    return storage, mm.unet_manual_cast(storage, device, possible) or storage


def run_bytes(
    transformer: Transformer,
    tokenizer: Codec,
    rows: int,
    batch: int,
    conditions: Sequence[NetworkCondition] = (),
    widest: int = 1,
) -> int:
    """Estimate of what a run needs besides weights: cache, fp32 logits, activations, the decoder.

    Args:
        transformer, tokenizer: the networks, as they are for images of the size that is made.
        rows: branches x batch of the fullest step.
        batch: images.
        conditions: of the branches, for networks that read them before the first token.
        widest: most tokens that a pass of a token-wise model draws.
    """
    config: TransformerConfig = transformer.config
    if isinstance(transformer, CausalNetwork):
        prefix, drawn = transformer.prefix_length(conditions), widest
        tokens, cache = prefix + widest - 1, CausalNetwork.cache_bytes(transformer, rows, prefix)
    else:
        tokens = drawn = cast(SteppedConfig, config).step_tokens
        cache = transformer.cache_bytes(rows)
    logits = 4 * drawn * config.vocab * (rows + 6 * batch)  # raw, guided, and the filters' sorts
    activations = 4 * rows * tokens * (3 * config.width + config.ffn + 3 * config.width)
    return cache + logits + activations + decode_bytes(tokenizer, config)


def decode_bytes(tokenizer: Codec, config: TransformerConfig) -> int:
    """Peak of the image decoder for one chunk of images (see `decode_chunk`): at most six maps of the full
    size (the decoders of VAR, LlamaGen and VQ-Diffusion hold three)."""
    sizes = tokenizer.config
    return 6 * 4 * sizes.full_channels * pixels(tokenizer, config) * decode_chunk(tokenizer, config)


def pixels(tokenizer: Codec, config: TransformerConfig) -> int:
    """Pixels of one image."""
    height, width = config.grid
    return height * width * tokenizer.config.factor**2


def decode_chunk(tokenizer: Codec, config: TransformerConfig) -> int:
    """How many images to decode at once: about one 512 x 512 image's worth of memory."""
    return max(1, 512 * 512 // pixels(tokenizer, config))


def to_gpu(patchers: Sequence[Patcher], memory: int) -> None:
    """Ask ComfyUI to make the networks ready on their device, with `memory` bytes left for the run."""
    mm.load_models_gpu(list(patchers), memory_required=memory)
