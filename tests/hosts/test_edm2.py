"""EDM2 in both hosts: files, guidance nodes, latents and images, seeds, previews, cancel, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.mixed import Mixed
from ar_guidance.models.edm2.images import from_pixels, raw_latents
from ar_guidance.tests.hosts.edm2_graphs import (
    LATENT,
    PIXEL,
    SMALLER,
    STEPS,
    UNCOND,
    by_formula,
    by_hand,
    close,
    graph,
    images,
    latents,
    mixed,
    refusal,
)
from ar_guidance.tests.hosts.graphs import cfg, node
from ar_guidance.tests.hosts.running import RunningHost, run_inside
from PIL import Image

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
