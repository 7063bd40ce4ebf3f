"""Nodes for tests only: text features out of a file as a stock CONDITIONING, and stock text encoders of any width.

Copied into a test host's `custom_nodes`; the stock encoders are the host's own classes and tokenizers, one layer deep.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import comfy.sd
import comfy.text_encoders.aura_t5
import comfy.text_encoders.omnigen2
import folder_paths
import torch
from safetensors import safe_open


class GivenText:
    """`features` (B, n, E), where the file has them `mask` (B, n) and `pooled` (B, P), and the `encoder` it says they are of."""

    CATEGORY = "tests"
    FUNCTION = "give"
    RETURN_TYPES = ("CONDITIONING",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"file": ("STRING", {})}}

    def give(self, file):
        path = Path(folder_paths.get_input_directory()) / file
        with safe_open(path, "pt") as opened:
            given = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
            mark = (opened.metadata() or {}).get("encoder", "")
        names = {"mask": "attention_mask", "pooled": "pooled_output"}
        options = {names[key]: value for key, value in given.items() if key in names}
        if mark:
            options["ar_text_encoder"] = mark
        return ([[given["features"], options]],)


T5_XL = {"d_kv": 8, "d_ff": 16, "num_heads": 1, "num_layers": 1}
QWEN = {"intermediate_size": 16, "num_hidden_layers": 1}
QWEN |= {"num_attention_heads": 1, "num_key_value_heads": 1}
STOCK = {
    # What CLIPLoader takes a flan-T5-XL file for, and what it gives a 2048 wide, masked conditioning with.
    "T5-XL": (comfy.text_encoders.aura_t5, "AuraT5", "pile_t5xl", "d_model", T5_XL),
    "Qwen2.5-3B": (comfy.text_encoders.omnigen2, "Omnigen2", "qwen25_3b", "hidden_size", QWEN),
}


class StockEncoder:
    """A CLIP as CLIPLoader makes it, with random weights, as wide as a tiny model wants."""

    CATEGORY = "tests"
    FUNCTION = "load"
    RETURN_TYPES = ("CLIP",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"encoder": (list(STOCK),), "width": ("INT", {"default": 8})}}

    def load(self, encoder, width):
        module, prefix, name, size, layers = STOCK[encoder]
        options = {"model_name": name, f"{name}_model_config": {size: width, **layers}}
        target = SimpleNamespace(
            params={},
            clip=getattr(module, f"{prefix}Model"),
            tokenizer=getattr(module, f"{prefix}Tokenizer"),
        )
        clip = comfy.sd.CLIP(target, model_options={**options, "dtype": torch.float32})
        generator = torch.Generator().manual_seed(0)
        for weight in clip.cond_stage_model.parameters():
            weight.copy_(0.3 * torch.randn(weight.shape, generator=generator))
        return (clip,)


class Fits(str):
    """A type of output that the host connects to any input, as many packs have one."""

    def __ne__(self, other):
        return False


class Given:
    """A value in JSON, or a tensor as {"shape": [...], "fill": number}: what no widget would let through."""

    CATEGORY = "tests"
    FUNCTION = "give"
    RETURN_TYPES = (Fits("*"),)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("STRING", {})}}

    def give(self, value):
        made = json.loads(value)
        return (torch.full(made["shape"], float(made["fill"])) if isinstance(made, dict) else made,)


class Fails:
    """Fails behind a finished image: with any exception, or for want of memory."""

    CATEGORY = "tests"
    FUNCTION = "fail"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "memory": ("BOOLEAN", {})}}

    def fail(self, image, memory):
        raise torch.OutOfMemoryError("no memory left") if memory else RuntimeError("as asked")


NODE_CLASS_MAPPINGS = {
    "GivenText": GivenText,
    "StockEncoder": StockEncoder,
    "Given": Given,
    "Fails": Fails,
}
