"""AR Diffusion: Record on tiny stock diffusion models: it changes nothing, and has every step."""

from __future__ import annotations

import json

import pytest
import torch
from ar_guidance.tests.hosts.diffusion_graphs import (
    STEPS,
    Graph,
    Probes,
    igg,
    refusal,
)
from ar_guidance.tests.hosts.graphs import node
from ar_guidance.tests.hosts.running import RunningHost


class Recorded:
    """A recorded model behind some patches, sampled, decoded to plain images, and what the inspecting nodes make of it."""

    def __init__(self, *patches: dict, kind: str = "SD15", first: bool = False, **sampler) -> None:
        record = node("ARDiffusionRecord")
        self.graph = Graph(kind, 6, 8)
        self.graph.branch("one", *((record, *patches) if first else (*patches, record)), **sampler)
        prompt = self.graph.prompt
        self.record = next(n for n in prompt if prompt[n]["class_type"] == "ARDiffusionRecord")
        prompt["trace"] = node(
            "ARDiffusionTrace", ar_recording=[self.record, 1], samples=["one sampler", 0]
        )
        prompt["metrics"] = node(
            "ARGuidanceMetrics",
            ar_trace=["trace", 0],
            measure="raw (what was added)",
            resampling_seed=0,
        )
        prompt["json"] = node("PreviewAny", source=["metrics", 3])
        prompt["plot"] = node("PreviewImage", images=["metrics", 4])

    def run(self, host: RunningHost) -> dict:
        """The metrics' JSON."""
        result = host.run(self.graph.prompt)
        assert (result.status, result.error) == ("success", "")
        return json.loads(result.outputs["json"]["text"][0])


@pytest.mark.parametrize("first", [False, True], ids=["behind", "before"])
@pytest.mark.parametrize("kind", ["SD15", "SD3", "Wan"])
def test_a_recording_changes_nothing_and_has_every_step(
    host: RunningHost, kind: str, first: bool
) -> None:
    recorded = Recorded(igg(igg_scale=2.0), kind=kind, first=first)
    found = recorded.run(host)
    steps = found["steps"]
    assert len(steps) == STEPS and [step["grid"] for step in steps] == [[6, 8]] * STEPS
    noise = [step["noise"] for step in steps]
    assert noise == sorted(noise, reverse=True) and noise[0] > noise[-1]
    assert all(step["cfg scale"] == 7.0 and step["igg scale"] == 2.0 for step in steps)
    assert all(0 < step["evenness"] <= 1 for step in steps)
    assert found["guidance"] == ["cfg", "igg"] or found["guidance"] == ["igg", "cfg"]
    plain = Graph(kind, 6, 8)
    plain.branch("plain", igg(igg_scale=2.0))
    assert torch.equal(plain.run(host)["plain"], recorded.graph.run(host)["one"])


def test_what_is_recorded_is_what_was_added(host: RunningHost) -> None:
    probes = Probes(host)
    probed = probes.around(igg(igg_scale=2.0))
    recorded = Recorded(*probed)
    found = recorded.run(host)
    for step, (_, after) in zip(found["steps"], probes.steps(), strict=True):
        added = (after.denoised - after.uncond_denoised).norm(dim=1)
        assert step["strength"] == pytest.approx(added.mean().item(), rel=1e-2)


def test_the_interval_of_the_node_is_in_the_recording(host: RunningHost) -> None:
    found = Recorded(igg(start_percent=0.3, end_percent=0.7)).run(host)
    acted = ["igg scale" in step for step in found["steps"]]
    assert acted[0] is False and acted[-1] is False and any(acted)
    assert all("cfg scale" in step for step in found["steps"])


def test_second_order_samplers_are_recorded_at_their_levels(host: RunningHost) -> None:
    recorded = Recorded(igg())
    recorded.graph.prompt["one sampler"]["inputs"]["sampler_name"] = "heun"
    found = recorded.run(host)
    assert all(step["evenness"] is not None for step in found["steps"])


def test_maps_of_a_stock_model(host: RunningHost) -> None:
    recorded = Recorded(igg(start_percent=0.3, end_percent=0.7))
    prompt = recorded.graph.prompt
    prompt["image"] = node("EmptyImage", width=64, height=48, batch_size=1, color=0x808080)
    look = {"opacity": 1.0, "colours": "viridis", "shared_range": False}
    for name, scales in (("steps", "one per scale"), ("sheet", "all on one sheet")):
        prompt[name] = node(
            "ARGuidanceMap",
            **{**look, "ar_trace": ["trace", 0], "image": ["image", 0]},
            **{"map": "igg direction", "scales": scales},
        )
        prompt[f"save {name}"] = node(
            "SaveImage", images=[name, 0], filename_prefix=f"recorded/{host.version}-{name}"
        )
    recorded.run(host)
    for name, count in (("steps", STEPS), ("sheet", 1)):
        assert len(list(host.output.glob(f"recorded/{host.version}-{name}_*.png"))) == count
    prompt["image"]["inputs"]["width"] = 128
    assert "belongs to another image" in refusal(host, recorded.graph)


def test_two_samplers_of_one_recording_each_find_their_own(host: RunningHost) -> None:
    recorded = Recorded(igg())
    prompt = recorded.graph.prompt
    other = {**prompt["one sampler"]["inputs"], "cfg": 3.0}
    prompt["other sampler"] = node("KSampler", **other)
    prompt["other trace"] = node(
        "ARDiffusionTrace", ar_recording=[recorded.record, 1], samples=["other sampler", 0]
    )
    prompt["other metrics"] = node(
        "ARGuidanceMetrics", **{**prompt["metrics"]["inputs"], "ar_trace": ["other trace", 0]}
    )
    prompt["other json"] = node("PreviewAny", source=["other metrics", 3])
    result = host.run(prompt)
    assert (result.status, result.error) == ("success", "")
    scales = [
        json.loads(result.outputs[name]["text"][0])["steps"][0]["cfg scale"]
        for name in ("json", "other json")
    ]
    assert scales == [7.0, 3.0]


def test_latents_of_another_run_are_refused(host: RunningHost) -> None:
    recorded = Recorded(igg())
    recorded.graph.prompt["trace"]["inputs"]["samples"] = ["latent", 0]
    assert "Connect the MODEL of AR Diffusion: Record" in refusal(host, recorded.graph)
    plain = Recorded(cfg=1.0)
    assert "at cfg 1" in refusal(host, plain.graph)
