"""Nodes for tests only: tiny random-weight diffusion models, and a probe of what a sampler's hooks are given.

Copied into a test host's `custom_nodes`. The networks, their detection, loading and noise schedules are the host's own.
"""

from pathlib import Path

import comfy.ops
import comfy.samplers
import comfy.sd
import comfy.supported_models
import folder_paths
import torch
from comfy import model_management as mm
from comfy.ldm.modules.diffusionmodules.mmdit import OpenAISignatureMMDITWrapper
from comfy.ldm.wan.model import WanModel
from comfy.model_patcher import ModelPatcher
from safetensors.torch import save_file

CONTEXT = {"SD15": 16, "SD3": 24, "Wan": 4096}
MAKE = {"dtype": torch.float32, "device": "cpu", "operations": comfy.ops.disable_weight_init}
UNET = {
    **{"image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 32},
    **{"num_res_blocks": [1, 1], "channel_mult": [1, 2], "use_checkpoint": False, "legacy": False},
    **{"transformer_depth": [1, 1], "transformer_depth_output": [1, 1, 1, 1]},
    **{"transformer_depth_middle": 1, "use_linear_in_transformer": False, "context_dim": 16},
    **{"use_spatial_transformer": True, "adm_in_channels": None, "use_temporal_attention": False},
}


def fill(state, generator):
    """Random weights of about unit gain."""
    for name, weight in state.items():
        if weight.ndim > 1:
            scale = (weight.shape[0] / weight.numel()) ** 0.5
            weight.copy_(torch.randn(weight.shape, generator=generator) * scale)
        else:
            centre = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            weight.copy_(centre + 0.1 * torch.randn(weight.shape, generator=generator))
    return state


def tiny_sd15(generator):
    """Stable Diffusion 1.5's U-Net and noise schedule (epsilon), 32 channels wide."""
    config = comfy.supported_models.SD15(UNET)
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({}, "", device="cpu")
    fill(model.diffusion_model.state_dict(), generator)
    return ModelPatcher(model, mm.get_torch_device(), mm.unet_offload_device())


def tiny_sd3(generator):
    """Stable Diffusion 3's transformer (flow matching), one block of 64, through the host's detection and loader."""
    embedder = {"target": "torch.nn.Linear", "params": {"in_features": 24, "out_features": 64}}
    network = OpenAISignatureMMDITWrapper(
        **{"input_size": None, "in_channels": 16, "out_channels": 16, "depth": 1},
        **{"num_patches": 256, "pos_embed_max_size": 16, "adm_in_channels": 8},
        **{"context_embedder_config": embedder, **MAKE},
    )
    return comfy.sd.load_diffusion_model_state_dict(fill(network.state_dict(), generator))


def tiny_wan(generator):
    """Wan 2.1's video transformer, one block of 128, through the host's detection and loader."""
    network = WanModel(dim=128, ffn_dim=64, num_heads=1, num_layers=1, **MAKE)
    return comfy.sd.load_diffusion_model_state_dict(fill(network.state_dict(), generator))


MODELS = {"SD15": tiny_sd15, "SD3": tiny_sd3, "Wan": tiny_wan}


class TinyDiffusion:
    """A model and three random prompts for it."""

    RETURN_TYPES = ("MODEL", "CONDITIONING", "CONDITIONING", "CONDITIONING")
    FUNCTION = "make"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"family": (list(MODELS),)}}

    def make(self, family):
        generator = torch.Generator().manual_seed(0)
        with torch.inference_mode():
            model = MODELS[family](generator)
            prompts = [
                [
                    [
                        torch.randn(1, 5, CONTEXT[family], generator=generator),
                        {"pooled_output": torch.randn(1, 8, generator=generator)},
                    ]
                ]
                for _ in range(3)
            ]
        return (model, *prompts)


class ProbeCFG:
    """Writes what a post-CFG hook is given, one file per call, into output/<folder>."""

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "patch"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "folder": ("STRING", {})}}

    def patch(self, model, folder):
        patched = model.clone()
        patched.set_model_sampler_post_cfg_function(Probe(folder))
        return (patched,)


class Probe:
    """The hook of `ProbeCFG`; changes nothing."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, args):
        folder = Path(folder_paths.get_output_directory()) / self.folder
        folder.mkdir(parents=True, exist_ok=True)
        names = ("denoised", "cond_denoised", "uncond_denoised", "sigma")
        seen = {name: args[name].clone().contiguous().cpu() for name in names}
        seen["cond_scale"] = torch.tensor(float(args["cond_scale"]))
        save_file(seen, folder / f"{len(list(folder.iterdir())):03}.safetensors")
        return args["denoised"]


class SkippingGuider:
    """CFG that computes no negative below a noise level, as guiders with an interval do."""

    RETURN_TYPES = ("GUIDER",)
    FUNCTION = "make"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls):
        prompts = {"positive": ("CONDITIONING",), "negative": ("CONDITIONING",)}
        numbers = {"cfg": ("FLOAT", {}), "percent": ("FLOAT", {})}
        return {"required": {"model": ("MODEL",), **prompts, **numbers}}

    def make(self, model, positive, negative, cfg, percent):
        guider = SkippingCFG(model)
        guider.set_conds(positive, negative)
        guider.set_cfg(cfg)
        guider.percent = percent
        return (guider,)


class SkippingCFG(comfy.samplers.CFGGuider):
    """The guider of `SkippingGuider`."""

    def predict_noise(self, x, timestep, model_options=None, seed=None):
        negative, positive = self.conds["negative"], self.conds["positive"]
        if timestep.max() < self.inner_model.model_sampling.percent_to_sigma(self.percent):
            negative = None
        given = (self.inner_model, x, timestep, negative, positive, self.cfg)
        return comfy.samplers.sampling_function(*given, model_options=model_options or {})


NODES = (TinyDiffusion, ProbeCFG, SkippingGuider)
NODE_CLASS_MAPPINGS = {node.__name__: node for node in NODES}
