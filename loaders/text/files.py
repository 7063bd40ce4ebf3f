"""Which text encoder a file holds, by key names and shapes, and its weights under the network's own names. No host."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...models.family import FileFacts
from ...models.parts.settings import decimal, whole
from ...models.text.clip import ClipTextConfig
from ...models.text.encoders import (
    CLIP_PAIR,
    CLIP_ROWS,
    CLIP_VECTOR,
    FLAN_T5,
    QWEN2,
    TextEncoder,
)
from ..quote import listed, quoted, reason
from ..read import CheckpointError, Weights, read_weights
from ..sets import chosen, quantised, without_others

Tensors = dict[str, Tensor]

# Where a layout begins; what stands before it in a key is a wrapper's prefix.
_T5 = "encoder.block.0.layer.0.SelfAttention.q.weight"
_QWEN = "layers.0.self_attn.q_proj.bias"
_HF_CLIP = "text_model.embeddings.token_embedding.weight"
_OPENAI_CLIP = "transformer.resblocks.0.attn.in_proj_weight"
_BIAS = "layer.0.SelfAttention.relative_attention_bias.weight"
_IN_CHECKPOINT = "condition_emb."  # the tower inside a VQ-Diffusion checkpoint
ROWS_WIDTH = 512  # of CLIP ViT-B/32's text tower
QWEN_HEAD = 128  # channels per head of every Qwen2 the host's class can be

_HF_NAMES = (
    (r"embeddings\.token_embedding\.weight", "token_embedding.weight"),
    (r"embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"encoder\.layers\.(\d+)\.layer_norm(\d)", r"transformer.resblocks.\1.ln_\2"),
    (r"encoder\.layers\.(\d+)\.self_attn\.", r"transformer.resblocks.\1.attn."),
    (r"encoder\.layers\.(\d+)\.mlp\.fc1", r"transformer.resblocks.\1.mlp.c_fc"),
    (r"encoder\.layers\.(\d+)\.mlp\.fc2", r"transformer.resblocks.\1.mlp.c_proj"),
    (r"final_layer_norm", "ln_final"),
)


@dataclass(frozen=True)
class EncoderFile:
    """A text encoder found in one file, or two for a pair.

    Attributes:
        encoder: which.
        config: its sizes, as its network takes them; a pair's: both.
        tensors: its weights under the network's own keys.
        path: of the (first) file.
        vocab: ids its embedding knows.
        note: which of several sets of weights it is, or "".
    """

    encoder: TextEncoder
    config: Any
    tensors: Tensors
    path: Path
    vocab: int
    note: str = ""

    @property
    def folder(self) -> Path:
        """Where its tokenizer may lie."""
        return self.path if self.path.is_dir() else self.path.parent

    @property
    def half(self) -> torch.dtype | None:
        """The half precision its weights are stored in, if they are."""
        kinds = {tensor.dtype for tensor in self.tensors.values() if tensor.ndim > 1}
        return next((k for k in (torch.bfloat16, torch.float16) if kinds == {k}), None)


def find_encoder(paths: Sequence[Path]) -> EncoderFile:
    """The text encoder in a file, or the pair in two.

    Raises:
        CheckpointError: unreadable, incomplete, of an unknown kind, or two files that are no pair.
    """
    found = [_find_one(read_weights(path)) for path in paths]
    if len(found) == 1:
        return _as_vector(found[0]) if isinstance(found[0].config, ClipTextConfig) else found[0]
    narrow, wide = sorted(found, key=_clip_width)
    if narrow.config.width == wide.config.width:
        raise CheckpointError(
            f"{quoted(narrow.path.name)} and {quoted(wide.path.name)}: these are two CLIP encoders of the same width. Switti takes"
            " CLIP-L (768) and CLIP-bigG (1280)"
        )
    return _pair(narrow, wide)


def _clip_width(one: EncoderFile) -> int:
    """Channels of one of a pair, which only CLIP encoders make."""
    if not isinstance(one.config, ClipTextConfig):
        raise CheckpointError(
            f"{quoted(one.path.name)}: this is {one.encoder.title}, and two files are needed only for Switti: CLIP-L and"
            " CLIP-bigG. Set the second file to 'none'"
        )
    return one.config.width


def _find_one(weights: Weights) -> EncoderFile:
    # VQ-Diffusion's checkpoints hold its tower averaged, too, and its authors take that; other encoders are not trained here.
    averaged = any(_IN_CHECKPOINT in key for key in weights.tensors)
    for start, read in ((_T5, _t5), (_HF_CLIP, _hf_clip), (_OPENAI_CLIP, _clip), (_QWEN, _qwen)):
        towers = [
            key.removesuffix(start)
            for key in weights.tensors
            if key.endswith(start) and not re.search(r"decoder\.|visual\.", key)
        ]
        if towers:
            taken, *others = chosen(towers, averaged)
            keys = without_others(weights.tensors, taken, towers)
            own = {key.removeprefix(taken): weights.tensors[key] for key in keys}
            return replace(_complete(weights, read, own), note=_which(weights, taken, others))
    sample = listed(weights.tensors) or "no tensors at all"
    raise CheckpointError(
        f"{quoted(weights.path.name)}: no text encoder of an autoregressive model in this file (it holds"
        f" {len(weights.tensors):,} tensors: {sample}). Take flan-T5-XL (Infinity, LlamaGen), Qwen2-1.5B (HART) or"
        " CLIP ViT-L/14 (VAR-CLIP) or ViT-B/32 (VQ-Diffusion); other models' encoders load with ComfyUI's CLIP loaders"
    )


def _which(weights: Weights, taken: str, others: Sequence[str]) -> str:
    """Which of several sets of an encoder's weights was taken, in words; "" where there is one."""
    if not others:
        return ""
    names = [f"'{quoted(p.rstrip('.'))}'" if p else "those at its top" for p in (taken, *others)]
    return (
        f"{quoted(weights.path.name)} holds {len(names)} sets of this text encoder's weights: {names[0]} were taken, not"
        f" {listed(names[1:])}"
    )


def _complete(
    weights: Weights, read: Callable[[Weights, Tensors], EncoderFile], own: Tensors
) -> EncoderFile:
    form = quantised(own)
    if form:
        raise CheckpointError(
            f"{quoted(weights.path.name)}: this text encoder's weights are quantised ({form}), which this pack does not read."
            " Take the file in half or full precision"
        )
    try:
        return read(weights, own)
    except CheckpointError:
        raise
    except Exception as error:  # whatever its shapes lead to, it is the file that is wrong
        raise CheckpointError(
            f"{quoted(weights.path.name)}: {reason(error)}, so this text encoder cannot be read. The file is incomplete,"
            " or one of several: choose a file of a folder that holds all of them"
        ) from error


# --- the layouts ------------------------------------------------------------------------------------------------------


def _t5(weights: Weights, own: Tensors) -> EncoderFile:
    """T5 version 1.1: gated feed-forward, one table of position biases for all layers."""
    name = quoted(weights.path.name)
    if f"encoder.block.1.{_BIAS}" in own:
        raise CheckpointError(
            f"{name}: this is a umT5 or Pile-T5 encoder (a position table in every layer), which no autoregressive"
            " model here reads. Take google/flan-t5-xl"
        )
    if "encoder.block.0.layer.1.DenseReluDense.wi.weight" in own:
        raise CheckpointError(
            f"{name}: this is a T5 of version 1.0, which no autoregressive model here reads. Take google/flan-t5-xl"
        )
    kept = {key: value for key, value in own.items() if key.startswith("encoder.")}
    tied = kept.pop("encoder.embed_tokens.weight", None)
    shared = own["shared.weight"] if tied is None else tied
    buckets, heads = kept[f"encoder.block.0.{_BIAS}"].shape
    feed = kept["encoder.block.0.layer.1.DenseReluDense.wi_0.weight"]
    if buckets != 32:
        raise CheckpointError(f"{name}: its table of position biases has {buckets} rows, not 32")
    config = {
        "model_type": "t5",
        "num_layers": _count(kept, "encoder.block."),
        "d_model": feed.shape[1],
        "d_ff": feed.shape[0],
        "d_kv": kept[_T5].shape[0] // heads,
        "num_heads": heads,
        "dense_act_fn": "gelu_pytorch_tanh",
        "is_gated_act": True,
        "vocab_size": shared.shape[0],
    }
    tensors = {**kept, "shared.weight": shared}
    return EncoderFile(FLAN_T5, config, tensors, weights.path, shared.shape[0])


def _qwen(weights: Weights, own: Tensors) -> EncoderFile:
    """Qwen2's language model; what a vision-language release holds besides is left out."""
    first = "layers.0.self_attn."
    if f"{first}q_norm.weight" in own:
        raise CheckpointError(
            f"{quoted(weights.path.name)}: this is Qwen3, not Qwen2. HART reads the Qwen2-1.5B of its own release"
        )
    kept = {
        f"model.{k}": v for k, v in own.items() if re.match(r"layers\.|embed_tokens\.|norm\.", k)
    }
    embedding, layers = own["embed_tokens.weight"], _count(own, "layers.")
    sizes = {"hidden_size": embedding.shape[1], "num_hidden_layers": layers}
    settings = FileFacts({}, settings=weights.settings).own_settings(
        sizes, ("num_attention_heads",)
    )
    config = {
        "vocab_size": embedding.shape[0],
        "hidden_size": embedding.shape[1],
        "intermediate_size": own["layers.0.mlp.gate_proj.weight"].shape[0],
        "num_hidden_layers": layers,
        "num_attention_heads": own[f"{first}q_proj.weight"].shape[0] // QWEN_HEAD,
        "num_key_value_heads": own[f"{first}k_proj.weight"].shape[0] // QWEN_HEAD,
        "rms_norm_eps": decimal(settings, "rms_norm_eps", 1e-6, 0, 1),
        "rope_theta": decimal(settings, "rope_theta", 1e6),
    }
    heads = whole(settings, "num_attention_heads", config["num_attention_heads"], 1, 1024)
    if (
        heads * QWEN_HEAD != own[f"{first}q_proj.weight"].shape[0]
        or not config["num_key_value_heads"]
    ):
        raise CheckpointError(
            f"{quoted(weights.path.name)}: this Qwen2 has heads of another width than {QWEN_HEAD}. HART reads the Qwen2-1.5B of"
            " its own release"
        )
    return EncoderFile(QWEN2, config, kept, weights.path, embedding.shape[0])


def _hf_clip(weights: Weights, own: Tensors) -> EncoderFile:
    """CLIP under the names of `transformers` -> under OpenAI's, its three projections joined."""
    named: Tensors = {}
    for key, value in own.items():
        if key.startswith("text_model."):
            key = key.removeprefix("text_model.")
            for pattern, name in _HF_NAMES:
                key = re.sub(f"^{pattern}", name, key)
            named[key] = value
    for layer in range(_count(named, "transformer.resblocks.")):
        block = f"transformer.resblocks.{layer}.attn."
        for what in ("weight", "bias"):
            parts = [named.pop(f"{block}{part}_proj.{what}") for part in "qkv"]
            named[f"{block}in_proj_{what}"] = torch.cat(parts)
    if "text_projection.weight" in own:
        weight = own["text_projection.weight"]
        named["text_projection"] = weight.mT if weight.ndim == 2 else weight  # refused by its shape
    return _clip(weights, named)


def _clip(weights: Weights, own: Tensors) -> EncoderFile:
    """CLIP's text half under OpenAI's names; the image half is left out."""
    names = r"token_embedding\.|positional_embedding$|transformer\.resblocks\.|ln_final\.|text_projection$"
    kept = {key: value for key, value in own.items() if re.match(names, key)}
    shapes = {key: tuple(value.shape) for key, value in kept.items()}
    config = ClipTextConfig.of(shapes, whole(weights.metadata, "heads", 0, 0, 1024))
    if config.width == ROWS_WIDTH or any(_IN_CHECKPOINT in key for key in weights.tensors):
        return _as_rows(weights, config, kept)
    return EncoderFile(CLIP_VECTOR, config, kept, weights.path, config.vocab)


def _as_rows(weights: Weights, config: ClipTextConfig, kept: Tensors) -> EncoderFile:
    """CLIP as VQ-Diffusion reads it: QuickGELU, every position's state, not projected."""
    kept.pop("text_projection", None)
    config = replace(config, dim=0, quick=True)
    return EncoderFile(CLIP_ROWS, config, kept, weights.path, config.vocab)


def _as_vector(found: EncoderFile) -> EncoderFile:
    """CLIP as VAR-CLIP reads it: exact GELU, projected."""
    if found.encoder == CLIP_ROWS:
        return found
    if not found.config.dim:
        raise CheckpointError(
            f"{quoted(found.path.name)}: this CLIP file lacks its text_projection, which VAR-CLIP needs. Take"
            " model.safetensors of openai/clip-vit-large-patch14"
        )
    return found


def _pair(narrow: EncoderFile, wide: EncoderFile) -> EncoderFile:
    """Both towers under one roof, without their projections, which Switti does not read."""
    towers = (narrow, wide)
    configs = tuple(replace(one.config, dim=0, quick=one is narrow) for one in towers)
    tensors = {
        f"{i}.{key}": value
        for i, one in enumerate(towers)
        for key, value in one.tensors.items()
        if key != "text_projection"
    }
    return EncoderFile(CLIP_PAIR, configs, tensors, narrow.path, narrow.vocab)


def _count(tensors: Tensors, start: str) -> int:
    """How many numbered modules there are under `start`."""
    return len({key[len(start) :].split(".")[0] for key in tensors if key.startswith(start)})
