"""Graphs of a tiny diffusion model through the stock KSampler, and what its runs leave behind."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from ar_guidance.tests.hosts.graphs import Json, node
from ar_guidance.tests.hosts.running import RunningHost
from safetensors.torch import load_file
from torch import Tensor

STEPS = 4
SETTINGS = {
    "mix": "sampler cfg",
    "igg_scale": -0.4,
    "cfg_scale": 1.4,
    "start_percent": 0.0,
    "end_percent": 1.0,
    "window": "global",
    "window_side": 33,
    "attention": "self-attention",
}
_NUMBERS = count()


def igg(**settings: Any) -> Json:
    """The node under test, `model` left open."""
    assert set(settings) <= set(SETTINGS)
    return node("ARDiffusionIGG", **{**SETTINGS, **settings})


def probe(folder: str) -> Json:
    """A hook that records what it is given in output/<folder>."""
    return node("ProbeCFG", folder=folder)


class Graph:
    """A tiny model, prompts and a latent; `branch` hangs a chain of model patches and a KSampler on them."""

    def __init__(self, kind: str = "SD15", height: int = 5, width: int = 7, batch: int = 1) -> None:
        size = {"width": 8 * width, "height": 8 * height, "batch_size": batch}
        latents = {
            "SD15": node("EmptyLatentImage", **size),
            "SD3": node("EmptySD3LatentImage", **size),
            "Wan": node("EmptyHunyuanLatentVideo", **size, length=9),
        }
        self.prompt: Json = {
            "tiny": node("TinyDiffusion", family=kind),
            "latent": latents[kind],
        }
        self.saved: dict[str, str] = {}

    def patched(self, *patches: Json) -> list:
        """A chain of model patches; where its MODEL comes out."""
        source = ["tiny", 0]
        for patch in patches:
            name = f"patch{next(_NUMBERS)}"
            self.prompt[name] = {**patch, "inputs": {**patch["inputs"], "model": source}}
            source = [name, 0]
        return source

    def branch(self, name: str, *patches: Json, cfg: float = 7.0, seed: int = 3) -> None:
        """KSampler behind `patches`, its latent saved under `name`."""
        self.prompt[f"{name} sampler"] = node(
            "KSampler",
            model=self.patched(*patches),
            positive=["tiny", 1],
            negative=["tiny", 2],
            latent_image=["latent", 0],
            **{"seed": seed, "steps": STEPS, "cfg": cfg, "denoise": 1.0},
            **{"sampler_name": "euler", "scheduler": "normal"},
        )
        self.prompt[name] = node(
            "SaveLatent", samples=[f"{name} sampler", 0], filename_prefix=self.name(name)
        )

    def name(self, branch: str) -> str:
        """Where a branch's latent is saved."""
        self.saved[branch] = f"latents/{next(_NUMBERS)}"
        return self.saved[branch]

    def run(self, host: RunningHost) -> dict[str, Tensor]:
        """Run it; the latent of every branch, once each is finite."""
        result = host.run(self.prompt)
        assert (result.status, result.error) == ("success", "")
        found = {}
        for name, prefix in self.saved.items():
            files = sorted(host.output.glob(f"{prefix}_*.latent"))
            found[name] = load_file(files[-1])["latent_tensor"]
            assert found[name].isfinite().all()
        return found


def sample(host: RunningHost, *patches: Json, kind: str = "SD15", cfg: float = 7.0) -> Tensor:
    """One branch's latent."""
    graph = Graph(kind)
    graph.branch("one", *patches, cfg=cfg)
    return graph.run(host)["one"]


@dataclass(frozen=True)
class Call:
    """What a hook was given at one step."""

    denoised: Tensor
    cond_denoised: Tensor
    uncond_denoised: Tensor
    sigma: Tensor
    cond_scale: Tensor


@dataclass
class Probes:
    """Probes before and after the node under test."""

    host: RunningHost

    def __post_init__(self) -> None:
        number = next(_NUMBERS)
        self.folders = [f"probe/{self.host.version}-{number}-{where}" for where in "ab"]

    def around(self, *patches: Json) -> list[Json]:
        """The patches between two probes."""
        return [probe(self.folders[0]), *patches, probe(self.folders[1])]

    def steps(self) -> list[tuple[Call, Call]]:
        """(before, after) of every step."""
        pairs = []
        for folder in self.folders:
            files = sorted((self.host.output / folder).iterdir())
            assert len(files) == STEPS
            pairs.append([Call(**load_file(file)) for file in files])
        return list(zip(*pairs, strict=True))


def direct(cond: Tensor, uncond: Tensor, radius: int | None = None) -> Tensor:
    """A G one image and one position at a time, in float64: the formula as it is written."""
    nudge = (cond - uncond).double()
    images = nudge.movedim(2, 1).flatten(0, 1) if nudge.ndim == 5 else nudge  # frames are images
    channels, height, width = images.shape[1:]
    places = [(y, x) for y in range(height) for x in range(width)]
    out = torch.zeros_like(images)
    for image, result in zip(images, out, strict=True):
        for y, x in places:
            seen = [
                (v, w) for v, w in places if radius is None or max(abs(v - y), abs(w - x)) <= radius
            ]
            others = torch.stack([image[:, v, w] for v, w in seen])
            result[:, y, x] = (others @ image[:, y, x] / channels**0.5).softmax(0) @ others
    if nudge.ndim == 5:
        return out.unflatten(0, (nudge.shape[0], -1)).movedim(1, 2)
    return out


def close(value: torch.Tensor, wanted: torch.Tensor, tolerance: float = 1e-5) -> bool:
    """Within `tolerance` of the largest number."""
    scale = wanted.abs().max().clamp_min(1.0)
    return bool(((value.double() - wanted.double()).abs().max() / scale) <= tolerance)


def refusal(host: RunningHost, graph: Graph) -> str:
    """What the user reads; the host works afterwards."""
    result = host.run(graph.prompt)
    assert result.status in ("error", "refused"), result
    sample(host)
    return result.error.splitlines()[0]
