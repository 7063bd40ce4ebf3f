"""EDM2 in both hosts: files, guidance nodes, latents and images, seeds, previews, cancel, and what is refused."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.mixed import Mixed
from ar_guidance.loaders.detect import find_part
from ar_guidance.loaders.read import read_weights
from ar_guidance.models.edm2.images import from_pixels, raw_latents
from ar_guidance.sampling.diffusion import Guided, diffusion_run
from ar_guidance.sampling.draw import Streams
from ar_guidance.sampling.heun import Heun, generate
from ar_guidance.tests import tiny_edm2
from ar_guidance.tests.hosts.graphs import Json, cfg, node
from ar_guidance.tests.hosts.running import RunningHost, run_inside
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


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_the_papers_mix_through_the_nodes_is_the_formula(edm2: RunningHost) -> None:
    for plain, attended in ((1.4, -0.4), (1.2, -0.2)):
        made = latents(edm2, graph(LATENT, UNCOND, mixed(plain, attended)))
        link = Mixed(scale=plain, igg_scale=attended, schedule="constant")
        wanted = by_hand(edm2, LATENT, UNCOND, (link,), [(1, 0)])
        assert close(wanted, by_formula(edm2, plain, attended))
        assert made.shape == (1, 4, 8, 8) and close(made, raw_latents(wanted))
    other = latents(edm2, graph(LATENT, UNCOND, cfg(None, 1.4, schedule="constant")))
    assert not close(other, made)


def test_pixels_are_those_of_the_release(edm2: RunningHost) -> None:
    made = images(edm2, graph(PIXEL, SMALLER, cfg(None, 1.7), sigma_max=20.0))
    wanted = by_hand(edm2, PIXEL, SMALLER, (CFG(1.7),), [(1, 0)], sigma_max=20.0)
    levels = from_pixels(wanted).mul(255).movedim(1, -1)
    assert (made.float() - levels).abs().max() <= 1


def test_scale_1_is_no_guidance(edm2: RunningHost) -> None:
    plain = latents(edm2, graph(LATENT, "none"))
    assert torch.equal(plain, latents(edm2, graph(LATENT, UNCOND, cfg(None, 1.0))))
    assert torch.equal(plain, latents(edm2, graph(LATENT, UNCOND)))
    assert not torch.equal(plain, latents(edm2, graph(LATENT, UNCOND, cfg(None, 2.0))))


def test_an_image_of_a_batch_is_as_it_is_alone(edm2: RunningHost) -> None:
    whole = latents(edm2, graph(LATENT, UNCOND, mixed(1.4, -0.4), classes="1, 3", batch_size=2))
    assert whole.shape[0] == 4
    seeds = node("ARSeeds", seeds="1", reroll="", reroll_seed=0, only_rerolled=False)
    third = latents(edm2, graph(LATENT, UNCOND, seeds, mixed(1.4, -0.4), classes="1"))
    assert close(third, whole[:1])
    again = node("ARSeeds", seeds="", reroll="3", reroll_seed=9, only_rerolled=False)
    other = latents(
        edm2, graph(LATENT, UNCOND, again, mixed(1.4, -0.4), classes="1, 3", batch_size=2)
    )
    same = [close(a, b) for a, b in zip(whole, other, strict=True)]
    assert same == [True, True, False, True]


def test_an_unconditional_network_needs_no_class(edm2: RunningHost) -> None:
    made = latents(edm2, graph(UNCOND, "none", classes=""))
    assert made.isfinite().all() and made.shape == (1, 4, 8, 8)


def test_churn_changes_the_image_and_not_from_run_to_run(edm2: RunningHost) -> None:
    churned = graph(LATENT, "none", churn=20.0, churn_min=0.05, churn_max=50.0)
    first = latents(edm2, churned)
    assert not close(first, latents(edm2, graph(LATENT, "none")))
    assert torch.equal(first, latents(edm2, churned))


def test_other_sizes_run(edm2: RunningHost) -> None:
    assert latents(edm2, graph(LATENT, UNCOND, mixed(1.4, -0.4), width=96, height=64)).shape == (
        1, 4, 8, 12,
    )  # fmt: skip


# --- what the user sees -----------------------------------------------------------------------------------------------


def test_progress(edm2: RunningHost) -> None:
    steps: list[int] = []

    def watch(kind: str, data: Any) -> None:
        if kind == "progress" and data.get("node") == "decode":
            steps.append(data["value"])

    prompt = graph(LATENT, UNCOND, mixed(1.4, -0.4), steps=60)
    prompt["save"] = node("SaveLatent", samples=["decode", 1], filename_prefix="edm2/progress")
    assert edm2.run(prompt, on_event=watch).status == "success"
    assert len(steps) > 2 and steps == sorted(steps) and steps[-1] == 60


def test_what_no_graph_shows(edm2: RunningHost, tmp_path: Path) -> None:
    files = (edm2.models / "ar_checkpoints" / name for name in (LATENT, UNCOND, PIXEL))
    printed = run_inside(edm2.process.host, "edm2_inside", tmp_path, *files)
    found = json.loads(printed.splitlines()[-1])
    assert found["late"] in ("same", "none in this host")
    assert found["previews"]["latent"] == {"none": [], "auto": ["JPEG 8"] * 3}
    assert found["previews"]["pixel"] == {"none": [], "auto": ["JPEG 256"] * 3}
    assert "the latents were finished before" in found["decoding failed"][-1]
    assert "2 of 3 images were finished before" in found["part failed"][-1]
    assert found["in halves"] and found["files"] == [".latent", ".latent"]
    assert found["left"] == []


def test_a_vae_gives_images_in_the_colours_of_the_release(edm2: RunningHost) -> None:
    prompt = graph(LATENT, UNCOND, mixed(1.4, -0.4))
    prompt["vae"] = node("VAELoader", vae_name=tiny_vae(edm2, 4))
    prompt["decode"]["inputs"]["vae"] = ["vae", 0]
    made = images(edm2, prompt)
    prompt["stock"] = node("VAEDecode", samples=["decode", 1], vae=["vae", 0])
    prompt["plain"] = node("SaveImage", images=["stock", 0], filename_prefix="edm2/stock")
    images(edm2, prompt)
    file = sorted(edm2.output.glob("edm2/stock_*.png"))[-1]
    stock = torch.from_numpy(np.array(Image.open(file))).float()
    assert made.shape == (1, 64, 64, 3)
    assert (made[0].float() - (2 * stock - 255).clamp(0, 255)).abs().max() <= 2
    assert 0 < made.float().mean() < 255 and made.float().std() > 1


def test_the_wrong_vae_is_refused(edm2: RunningHost) -> None:
    prompt = graph(LATENT, UNCOND, mixed(1.4, -0.4))
    prompt["vae"] = node("VAELoader", vae_name=tiny_vae(edm2, 16))
    prompt["decode"]["inputs"]["vae"] = ["vae", 0]
    prompt["save"] = node("SaveImage", images=["decode", 0], filename_prefix="edm2/refused")
    assert "has 16 channels" in refusal(edm2, prompt, output=0)


def tiny_vae(host: RunningHost, channels: int) -> str:
    """A small VAE with random weights, of the kind the host's own loader knows (TAESD)."""
    name = f"tiny-{channels}.safetensors"
    path = host.models / "vae" / name
    if not path.is_file():
        path.parent.mkdir(exist_ok=True)
        run_inside(host.process.host, "tiny_vae", channels, path)
    return name


def test_a_run_can_be_cancelled(edm2: RunningHost) -> None:
    prompt = graph(LATENT, UNCOND, mixed(1.4, -0.4), steps=1000)
    prompt["save"] = node("SaveLatent", samples=["decode", 1], filename_prefix="edm2/cancelled")
    assert edm2.run_and_cancel(prompt, "decode").status == "interrupted"
    latents(edm2, graph(LATENT, "none"))


def test_maps_and_metrics(edm2: RunningHost) -> None:
    prompt = graph(PIXEL, SMALLER, cfg(None, 2.0, start=0.3, end=0.7))
    look = {"map": "nudge", "opacity": 1.0, "colours": "viridis", "shared_range": False}
    look["scales"] = "one per scale"
    prompt["map"] = node("ARGuidanceMap", ar_trace=["decode", 2], image=["decode", 0], **look)
    prompt["metrics"] = node(
        "ARGuidanceMetrics",
        ar_trace=["decode", 2],
        measure="scaled (divided by the scale)",
        resampling_seed=0,
    )
    prompt["a"] = node("SaveImage", images=["map", 0], filename_prefix="edm2/maps")
    prompt["b"] = node("PreviewImage", images=["metrics", 4])
    result = edm2.run(prompt)
    assert (result.status, result.error) == ("success", "")
    assert len(list(edm2.output.glob("edm2/maps_*.png"))) == STEPS


def test_a_sweep_of_the_scale_is_a_sheet_with_its_settings(edm2: RunningHost) -> None:
    """One run for each value; the settings that differ become the labels."""
    prompt = graph(PIXEL, SMALLER, cfg(None, 2.0))
    prompt["sweep"] = node(
        "ARSweep", first_values="1.5, 3", second_values="", first_name="scale", second_name="second"
    )
    prompt["link0"]["inputs"]["scale"] = ["sweep", 0]
    prompt["grid"] = node(
        "ARGrid",
        images=["decode", 0],
        ar_sampling=["link0", 0],
        columns=0,
        title="",
        blind="reveal",
    )
    prompt["key"] = node("PreviewAny", source=["grid", 1])
    result = edm2.run(prompt)
    assert (result.status, result.error) == ("success", "")
    shown = result.outputs["key"]["text"][0]
    assert "scale" in shown and "1.5" in shown and "3" in shown and "steps" not in shown


def test_the_search_for_a_scale_says_what_to_do_instead(edm2: RunningHost) -> None:
    """Before the run: the next prompt's first progress is its own."""
    prompt = graph(PIXEL, SMALLER, cfg(None, 2.0))
    prompt["find"] = node("ARFindScale", ar_sampling=["link0", 0], min_scale=1.0, max_scale=4.0, probes=4, pictures=1, compare="as they are")  # fmt: skip
    prompt["message"] = node("PreviewAny", source=["find", 2])
    result = edm2.run(prompt)
    assert "connect AR Sweep to the guidance node's scale" in result.error
    assert not result.progress


# --- refusals ---------------------------------------------------------------------------------------------------------


def refusal(host: RunningHost, prompt: Json, output: int = 1) -> str:
    """What the user reads; the host works afterwards."""
    end = node("SaveLatent", samples=["decode", output], filename_prefix="edm2/refused")
    result = host.run({**prompt, "save": end} if output == 1 else prompt)
    assert result.status in ("error", "refused") or "ExecutionBlocked" in result.error, result
    latents(host, graph(LATENT, "none"))
    return result.error.splitlines()[0]


def ssg() -> Json:
    return node(
        "ARGuidanceSSG", ar_sampling=None, scale=1.0, schedule="constant", start=0.0, end=1.0
    )


REFUSED: dict[str, Callable[[], Json]] = {
    "no guiding network is loaded": lambda: graph(LATENT, "none", cfg(None, 2.0)),
    "the guide is the network itself": lambda: graph(LATENT, LATENT),
    "do not belong together": lambda: graph(LATENT, SMALLER, cfg(None, 2.0)),
    "8x8 latents of 4 channels against 16x16": lambda: graph(LATENT, LARGER, cfg(None, 2.0)),
    "knows 5 classes, the guide 7": lambda: graph(LATENT, OTHERS, cfg(None, 2.0)),
    "class 5 is out of range": lambda: graph(LATENT, UNCOND, classes="5"),
    "connect AR Class Condition": lambda: graph(LATENT, UNCOND, classes=""),
    "knows no classes": lambda: graph(UNCOND, "none", classes="0"),
    "multiples of 16 pixels": lambda: graph(LATENT, "none", width=104),
    "must be above 0 and below sigma_max": lambda: graph(LATENT, "none", sigma_min=5.0, sigma_max=2.0),
    "would never act": lambda: graph(LATENT, UNCOND, cfg(None, 2.0, start=0.4, end=0.6)),
}  # fmt: skip


@pytest.mark.parametrize("words", REFUSED)
def test_refused_in_words(edm2: RunningHost, words: str) -> None:
    assert words in refusal(edm2, REFUSED[words]())


def test_token_nodes_say_that_this_run_has_no_tokens(edm2: RunningHost) -> None:
    prompt = graph(LATENT, UNCOND, cfg(None, 2.0))
    prompt["decode"] = node("ARDecode", ar_sampling=["link0", 0])
    prompt["save"] = node("SaveImage", images=["decode", 0], filename_prefix="edm2/refused")
    assert "draws no tokens" in refusal(edm2, prompt, output=0)
    bundled = {"load": node("ARLoadCheckpoint", checkpoint=LATENT, tokenizer="automatic")}
    prompt = {
        **bundled,
        "show": node(
            "ARClassCondition", ar_model=["load", 0], label="no class (unconditional)", classes="1"
        ),
    }
    prompt["sampler"] = node(
        "ARSampler", ar_model=["load", 0], ar_conditioning=["show", 0],
        seed=1, batch_size=1, temperature=1.0, top_k=-1, top_p=-1.0, min_p=0.0,
    )  # fmt: skip
    prompt["decode"] = node("ARDecode", ar_sampling=["sampler", 0])
    prompt["save"] = node("SaveImage", images=["decode", 0], filename_prefix="edm2/refused")
    assert "Load it with AR Load EDM2" in refusal(edm2, prompt, output=0)


def test_a_file_that_wants_to_run_something_is_refused(edm2: RunningHost, tmp_path: Path) -> None:
    path = edm2.models / "ar_checkpoints" / "evil.pkl"
    marker = tmp_path / "marker"

    class Evil:
        def __reduce__(self) -> Any:
            return open, (str(marker), "w")

    tiny_edm2.write_release(path, extra={"zzz": Evil()})
    assert "open" in refusal(edm2, graph("evil.pkl", "none"))
    assert not marker.exists() and not path.with_suffix(".marker").exists()


def test_latents_and_images_say_what_is_missing(edm2: RunningHost) -> None:
    prompt = graph(LATENT, "none")
    prompt["save"] = node("SaveImage", images=["decode", 0], filename_prefix="edm2/refused")
    assert "no VAE is connected" in refusal(edm2, prompt, output=0)
    assert "draws pixels" in refusal(edm2, graph(PIXEL, "none"))
