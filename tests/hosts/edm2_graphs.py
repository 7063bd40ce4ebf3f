"""Graphs of tiny EDM2 networks, and the same runs without the host."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from ar_guidance.loaders.detect import find_part
from ar_guidance.loaders.read import read_weights
from ar_guidance.sampling.diffusion import Guided, diffusion_run
from ar_guidance.sampling.draw import Streams
from ar_guidance.sampling.heun import Heun, generate
from ar_guidance.tests import tiny_edm2
from ar_guidance.tests.hosts.graphs import Json, node
from ar_guidance.tests.hosts.running import RunningHost
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

STEPS = 4
NUMBERS = itertools.count()
LATENT, UNCOND, PIXEL = "edm2-latent.pkl", "edm2-latent-uncond.pkl", "edm2-pixel.pkl"
SMALLER = "edm2-pixel-smaller.safetensors"
LARGER, OTHERS = "edm2-latent-larger.pkl", "edm2-latent-other-labels.pkl"
FILES = {
    LATENT: {},
    UNCOND: {"label_dim": 0, "model_channels": 4, "channels_per_head": 4},
    PIXEL: {"img_channels": 3},
    SMALLER: {"img_channels": 3, "model_channels": 4, "channels_per_head": 4},
    LARGER: {"img_resolution": 16},
    OTHERS: {"label_dim": 7},
}


@pytest.fixture
def edm2(host: RunningHost) -> RunningHost:
    """A host with tiny networks."""
    folder = host.models / "ar_checkpoints"
    for seed, (name, changes) in enumerate(FILES.items()):
        if not (folder / name).is_file():
            write = (
                tiny_edm2.write_release if name.endswith(".pkl") else tiny_edm2.write_safetensors
            )
            write(folder / name, seed=seed, **changes)
    return host


def network(host: RunningHost, name: str) -> Any:
    part = find_part(read_weights(host.models / "ar_checkpoints" / name), "diffusion")
    made = part.family.build(part.config).eval()
    made.load_state_dict({k: part.family.prepare(k, part.tensors) for k in part.tensors})
    return made


def graph(
    checkpoint: str,
    guide: str,
    *links: Json,
    classes: str = "1",
    vae: bool = False,
    **settings: Any,
) -> Json:
    """Load, class, sampler, guidance, decode; node ids are the words here."""
    sampler = {"seed": 1, "batch_size": 1, "steps": STEPS, **settings}
    prompt: Json = {
        "load": node("ARLoadEDM2", checkpoint=checkpoint, guide=guide),
        "sampler": node("AREDM2Sampler", edm2_model=["load", 0], **sampler),
    }
    if classes:
        prompt["class"] = node(
            "ARClassCondition",
            ar_model=["load", 0],
            label="no class (unconditional)",
            classes=classes,
        )
        prompt["sampler"]["inputs"]["ar_conditioning"] = ["class", 0]
    source = ["sampler", 0]
    for n, link in enumerate(links):
        prompt[f"link{n}"] = {**link, "inputs": {**link["inputs"], "ar_sampling": source}}
        source = [f"link{n}", 0]
    prompt["decode"] = node("AREDM2Decode", ar_sampling=source)
    return prompt


def mixed(scale: float, igg_scale: float, **more: Any) -> Json:
    settings = {
        **{
            "scale": scale,
            "igg_scale": igg_scale,
            "schedule": "constant",
            "start": 0.0,
            "end": 1.0,
        },
        **{"power": 1.0, "attention": "self-attention", "window": "global", "window_side": 5},
        **{"centre": False, **more},
    }
    return node("ARGuidanceMixed", ar_sampling=None, **settings)


def latents(host: RunningHost, prompt: Json) -> Tensor:
    """What the LATENT output holds."""
    prefix = f"edm2/{next(NUMBERS)}"
    prompt = {**prompt, "save": node("SaveLatent", samples=["decode", 1], filename_prefix=prefix)}
    result = host.run(prompt)
    assert (result.status, result.error) == ("success", "")
    file = sorted(host.output.glob(f"{prefix}_*.latent"))[-1]
    return load_file(file)["latent_tensor"]


def images(host: RunningHost, prompt: Json) -> Tensor:
    """What the IMAGE output holds, (B, H, W, 3) in 0-255."""
    prefix = f"edm2/{next(NUMBERS)}"
    prompt = {**prompt, "save": node("SaveImage", images=["decode", 0], filename_prefix=prefix)}
    result = host.run(prompt)
    assert (result.status, result.error) == ("success", "")
    files = sorted(host.output.glob(f"{prefix}_*.png"))
    return torch.stack([torch.from_numpy(np.array(Image.open(file))) for file in files])


def by_hand(
    host: RunningHost,
    main: str,
    guide: str,
    links: tuple,
    streams: list,
    label: int = 1,
    **heun: Any,
) -> Tensor:
    """The same run without the host, in the network's units."""
    one, other = network(host, main), network(host, guide)
    size, channels = one.config.resolution, one.config.channels
    labels = torch.eye(5)[[label] * len(streams)]
    noise = Streams.of(streams).normals((channels, size, size), torch.device("cpu"))
    run = diffusion_run(STEPS, (size, size))
    with torch.no_grad():
        denoiser = Guided.of(
            lambda x, s: one(x, s, labels), lambda x, s: other(x, s, labels), links, run
        )
        return generate(denoiser, noise, Heun(STEPS, **heun))


def by_formula(host: RunningHost, plain: float, attended: float) -> Tensor:
    """IGG A.5 written out: D = u + w (c - u) + w' A (c - u), A = softmax(G G^T / sqrt(d)), G = c - u, positions x channels."""
    one, other = network(host, LATENT), network(host, UNCOND)
    labels, size = torch.eye(5)[[1]], one.config.resolution

    def denoised(x: Tensor, sigma: Tensor, index: int, first: bool) -> Tensor:
        u = other(x, sigma, labels)
        nudge = (one(x, sigma, labels) - u).flatten(2).transpose(1, 2)
        attention = (nudge @ nudge.transpose(1, 2) / nudge.shape[-1] ** 0.5).softmax(-1)
        added = plain * nudge + attended * attention @ nudge
        return u + added.transpose(1, 2).unflatten(2, (size, size))

    with torch.no_grad():
        noise = Streams.of([(1, 0)]).normals((4, size, size), torch.device("cpu"))
        return generate(denoised, noise, Heun(STEPS))


def close(made: Tensor, wanted: Tensor) -> bool:
    return bool((made - wanted).abs().max() <= 1e-3 * wanted.abs().max())


def refusal(host: RunningHost, prompt: Json, output: int = 1) -> str:
    """What the user reads; the host works afterwards."""
    end = node("SaveLatent", samples=["decode", output], filename_prefix="edm2/refused")
    result = host.run({**prompt, "save": end} if output == 1 else prompt)
    assert result.status in ("error", "refused") or "ExecutionBlocked" in result.error, result
    latents(host, graph(LATENT, "none"))
    return result.error.splitlines()[0]
