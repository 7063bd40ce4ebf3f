"""Run inside a host's Python path: load a tiny model with room for half of it, and list what would break on a GPU.

    python tests/hosts/inside.py partial_load HOST_FOLDER TRANSFORMER TOKENIZER [TEXT_ENCODER ...]

Before that: newer hosts build layers without weights where a GPU can fetch them late; such a model must end up with the same.
The device "meta" stands in for the GPU. Layers the host manages may stay behind (they move per call), and so may raw
parameters and buffers, provided the network casts them where it uses them: those are declared here.
"""

import re
import sys
from pathlib import Path

import torch
from ar_guidance.loaders.checkpoint import load_model
from ar_guidance.loaders.text.encoders import load_text_encoder

transformer, tokenizer, *encoder_files = sys.argv[1:]

CAST_AT_USE = re.compile(
    r".*(pos_start|pos_1LC|lvl_1L|q_bias|v_bias|zero_k_bias|scale_mul_1H11|ada_gss"
    r"|norm\d?\.weight|[qk]_norm\.bias|ln_wo_grad\.weight|uncond_embedding|latent_tokens|positional_embedding|class_embedding"
    r"|cfg_uncond|ca\.mat_q|crop_cond_scales|crop_embed\.weight|scale_shift_table)$"
)


CAST_BY_CLIP = re.compile(r".*(in_proj_weight|in_proj_bias|text_projection)$")


def stranded(patcher: object) -> list[str]:
    """Names of weights left off the device that neither the host nor the network would move."""
    size = patcher.model_size()  # type: ignore[attr-defined]
    patcher.load(torch.device("meta"), lowvram_model_memory=size // 2)  # type: ignore[attr-defined]
    left = []
    for name, module in patcher.model.named_modules():  # type: ignore[attr-defined]
        managed = hasattr(module, "comfy_cast_weights")
        tensors = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for key, tensor in tensors:
            full = f"{name}.{key}".lstrip(".")
            moved = managed or CAST_AT_USE.match(full) or CAST_BY_CLIP.match(full)
            if tensor.device.type != "meta" and not moved:
                left.append(full)
    return left


def lazily_loaded() -> bool:
    """Whether this host has layers that begin without weights, and loading fills them as it fills the others."""
    try:
        import comfy.memory_management as memory  # type: ignore[import-not-found]
    except ImportError:
        return False
    wanted = load_model(transformer, tokenizer).network.state_dict()
    memory.aimdo_enabled = True
    try:
        found = load_model(transformer, tokenizer).network.state_dict()
    finally:
        memory.aimdo_enabled = False
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], value) for key, value in wanted.items())
    return True


print("late weights:", "the same" if lazily_loaded() else "none in this host")
model = load_model(transformer, tokenizer)
encoders = [load_text_encoder([Path(path)])[0].patcher for path in encoder_files]
for patcher in (model.patcher, *model.get_models(), *encoders):
    behind = list(patcher.model.parameters())
    bad = stranded(patcher)
    on_cpu = sum(p.device.type != "meta" for p in patcher.model.parameters())
    print(f"{patcher.model.__class__.__name__}: {on_cpu} of {len(behind)} stayed behind")
    assert on_cpu, "the model fitted: the test did not test"
    assert not bad, f"would be on the wrong device: {bad}"
