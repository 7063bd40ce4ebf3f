"""ARDiffusionIGG on tiny stock diffusion models, through the stock KSampler of both hosts."""

from __future__ import annotations

import json

import pytest
import torch
from ar_guidance.tests.hosts.diffusion_graphs import STEPS, Graph, Probes, direct, igg, sample
from ar_guidance.tests.hosts.graphs import node
from ar_guidance.tests.hosts.running import RunningHost

PAPER = {"paper 1.40 / -0.40": (1.40, -0.40), "paper 1.20 / -0.20": (1.20, -0.20)}
RESCALE = node("RescaleCFG", multiplier=0.7)  # takes the single sampler_cfg_function slot
ZERO_STAR = node("CFGZeroStar")  # a post-CFG hook that adds
NORM = node("CFGNorm", strength=0.9)  # a post-CFG hook that multiplies
APG = node("APG", eta=0.5, norm_threshold=3.0, momentum=0.0)  # a pre-CFG hook


def close(value: torch.Tensor, wanted: torch.Tensor, tolerance: float = 1e-5) -> bool:
    """Within `tolerance` of the largest number."""
    scale = wanted.abs().max().clamp_min(1.0)
    return bool(((value.double() - wanted.double()).abs().max() / scale) <= tolerance)


# --- absent -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["SD15", "SD3", "Wan"])
@pytest.mark.parametrize("cfg", [7.0, 1.0])
def test_scale_zero_is_no_node(host: RunningHost, kind: str, cfg: float) -> None:
    graph = Graph(kind)
    graph.branch("none", cfg=cfg)
    graph.branch("zero", igg(igg_scale=0.0, window="auto"), cfg=cfg)
    graph.branch("on", igg(), cfg=cfg)
    made = graph.run(host)
    assert torch.equal(made["none"], made["zero"])
    assert not torch.equal(made["none"], made["on"])


def test_outside_its_interval_nothing_changes(host: RunningHost) -> None:
    probes = Probes(host)
    sample(host, *probes.around(igg(start_percent=0.3, end_percent=0.7)))
    acted = [not torch.equal(before.denoised, after.denoised) for before, after in probes.steps()]
    sigmas = [before.sigma.item() for before, _ in probes.steps()]
    assert acted[0] is False and acted[-1] is False and any(acted), (acted, sigmas)


# --- formula ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["SD15", "SD3", "Wan"])
@pytest.mark.parametrize("mix", ["sampler cfg", *PAPER, "custom"])
@pytest.mark.parametrize("cfg", [7.0, 1.0])
def test_formula(host: RunningHost, kind: str, mix: str, cfg: float) -> None:
    probes = Probes(host)
    node_ = igg(mix=mix, igg_scale=2.5, cfg_scale=-0.5)
    sample(host, *probes.around(node_), kind=kind, cfg=cfg)
    plain, attended = {"sampler cfg": (cfg, 2.5), "custom": (-0.5, 2.5), **PAPER}[mix]
    between = False
    for before, after in probes.steps():
        c, u = before.cond_denoised, before.uncond_denoised
        nudge, mixed = c - u, direct(c, u)
        assert nudge.abs().max() > 0
        assert close(after.denoised, u + plain * nudge + attended * mixed), (mix, before.sigma)
        assert torch.equal(after.cond_denoised, c) and torch.equal(after.uncond_denoised, u)
        between |= not close(mixed, nudge, 1e-2)
    assert between  # attention that only looks at itself would test nothing


@pytest.mark.parametrize("window, side, radius", [("auto", 33, 2), ("fixed side", 3, 1)])
def test_window(host: RunningHost, window: str, side: int, radius: int) -> None:
    probes = Probes(host)
    sample(host, *probes.around(igg(window=window, window_side=side)))  # 5 x 7: auto is 5 wide
    for before, after in probes.steps():
        term = direct(before.cond_denoised, before.uncond_denoised, radius)
        assert close(after.denoised, before.denoised - 0.4 * term)


def test_token_weight_and_a_window_of_one(host: RunningHost) -> None:
    weight, one = Probes(host), Probes(host)
    sample(host, *weight.around(igg(attention="token weight")))
    sample(host, *one.around(igg(window="fixed side", window_side=1)))
    for before, after in one.steps():
        nudge = before.cond_denoised - before.uncond_denoised
        assert close(after.denoised, before.denoised - 0.4 * nudge)
    for before, after in weight.steps():
        nudge = before.cond_denoised - before.uncond_denoised
        term = (after.denoised - before.denoised) / -0.4
        received = (term * nudge).sum(1, keepdim=True) / nudge.square().sum(1, keepdim=True)
        assert close(term, received * nudge, 1e-3)  # one factor for all channels of a place
        assert abs(received.mean() - 1) < 1e-3


# --- company ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", [RESCALE, ZERO_STAR, APG], ids=lambda n: n["class_type"])
def test_both_act_in_either_order(host: RunningHost, other: dict) -> None:
    graph = Graph()
    graph.branch("igg", igg())
    graph.branch("other", other)
    graph.branch("igg first", igg(), other)
    graph.branch("igg last", other, igg())
    made = graph.run(host)
    assert close(made["igg first"], made["igg last"])  # terms add, so the order does not matter
    assert not close(made["igg first"], made["other"], 1e-3)
    assert not close(made["igg first"], made["igg"], 1e-3)


def test_order_of_the_wires_is_kept_where_it_matters(host: RunningHost) -> None:
    graph = Graph()
    graph.branch("igg first", igg(), NORM)
    graph.branch("igg last", NORM, igg())
    graph.branch("norm", NORM)
    made = graph.run(host)
    assert not close(made["igg first"], made["igg last"], 1e-4)
    assert not close(made["igg last"], made["norm"], 1e-3)


def test_the_term_stands_on_what_others_made(host: RunningHost) -> None:
    probes = Probes(host)
    sample(host, RESCALE, ZERO_STAR, *probes.around(igg(mix="custom", cfg_scale=2.0)))
    for before, after in probes.steps():
        c, u = before.cond_denoised, before.uncond_denoised
        wanted = before.denoised + (2.0 - 7.0) * (c - u) - 0.4 * direct(c, u)
        assert close(after.denoised, wanted)
        assert not close(before.denoised, u + 7.0 * (c - u), 1e-4)  # the others did something


def test_two_in_a_row_add_up(host: RunningHost) -> None:
    graph = Graph()
    graph.branch("two", igg(igg_scale=-0.3), igg(igg_scale=-0.1))
    graph.branch("one", igg(igg_scale=-0.4))
    graph.branch("mixed", igg(igg_scale=-0.3), igg(mix="custom", igg_scale=-0.1, cfg_scale=7.0))
    made = graph.run(host)
    assert close(made["two"], made["one"]) and close(made["mixed"], made["one"])


# --- the model that goes in -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cfg", [7.0, 1.0])
def test_clones_and_the_original_do_not_disturb_each_other(host: RunningHost, cfg: float) -> None:
    variants = {
        "plain": (),
        "weak": (igg(igg_scale=-0.2),),
        "strong": (igg(igg_scale=3.0, window="auto"),),
        "paper": (igg(mix="paper 1.20 / -0.20"),),
    }
    graph = Graph("SD3")
    for name, patches in variants.items():
        graph.branch(name, *patches, cfg=cfg)
    graph.branch("plain again", cfg=cfg, seed=4)
    together = graph.run(host)
    for name, patches in variants.items():
        assert torch.equal(together[name], sample(host, *patches, kind="SD3", cfg=cfg)), name
    assert len({tuple(latent.flatten().tolist()) for latent in together.values()}) == 5


def test_settings_are_not_what_the_first_run_had(host: RunningHost) -> None:
    first = sample(host, igg(igg_scale=1.0))
    assert not torch.equal(first, sample(host, igg(igg_scale=2.0)))
    assert torch.equal(first, sample(host, igg(igg_scale=1.0)))


def test_cfg_one_still_asks_for_the_negative(host: RunningHost) -> None:
    probes = Probes(host)
    sample(host, *probes.around(igg()), cfg=1.0)
    for before, after in probes.steps():
        c, u = before.cond_denoised, before.uncond_denoised
        assert u.abs().max() > 0 and not torch.equal(c, u)
        assert close(after.denoised, c - 0.4 * direct(c, u))


# --- shapes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind, sizes", [("SD15", (3, 17)), ("SD3", (9, 5)), ("Wan", (5, 3))])
def test_odd_sizes(host: RunningHost, kind: str, sizes: tuple[int, int]) -> None:
    graph = Graph(kind, *sizes)
    graph.branch("global", igg())
    graph.branch("window", igg(window="fixed side", window_side=4))
    graph.branch("none")
    made = graph.run(host)
    assert made["none"].shape[-2:] == sizes
    assert len({tuple(latent.flatten().tolist()) for latent in made.values()}) == 3


@pytest.mark.parametrize("window", ["global", "auto"])
def test_a_batch_is_its_images(host: RunningHost, window: str) -> None:
    # noise of 4 x 6 x 8 = 12 x 16 numbers: the host's generator starts a batch with the same ones
    single, triple = Graph("SD15", 6, 8), Graph("SD15", 6, 8, batch=3)
    for graph in (single, triple):
        graph.branch("made", igg(igg_scale=2.0, window=window))
    alone, batch = (graph.run(host)["made"] for graph in (single, triple))
    assert len(batch) == 3 and close(batch[:1], alone)


# --- refusals ---------------------------------------------------------------------------------------------------------


def refusal(host: RunningHost, graph: Graph) -> str:
    """What the user reads; the host works afterwards."""
    result = host.run(graph.prompt)
    assert result.status in ("error", "refused"), result
    sample(host)
    return result.error.splitlines()[0]


# --- guiders ----------------------------------------------------------------------------------------------------------


def guided(guider: dict, *patches: dict) -> Graph:
    """A graph with a guider of its own behind `patches`, saved as "made"."""
    graph = Graph()
    model = graph.patched(*patches)
    graph.prompt |= {
        "guider": {**guider, "inputs": {**guider["inputs"], "model": model}},
        "noise": node("RandomNoise", noise_seed=1),
        "method": node("KSamplerSelect", sampler_name="euler"),
        "sigmas": node("BasicScheduler", model=model, scheduler="normal", steps=STEPS, denoise=1.0),
        "run": node(
            "SamplerCustomAdvanced",
            **{"noise": ["noise", 0], "guider": ["guider", 0], "sampler": ["method", 0]},
            **{"sigmas": ["sigmas", 0], "latent_image": ["latent", 0]},
        ),
        "made": node("SaveLatent", samples=["run", 0], filename_prefix=graph.name("made")),
    }
    return graph


PROMPTS = {"positive": ["tiny", 1], "negative": ["tiny", 2]}
CFG = node("CFGGuider", **PROMPTS, cfg=7.0)
DUAL = {"cond1": ["tiny", 1], "cond2": ["tiny", 3], "negative": ["tiny", 2]}


def first(host: RunningHost, guider: dict, before: tuple[dict, ...], *patches: dict) -> tuple:
    """What stands before and behind the last patches at the first step, where every run has the same predictions."""
    probes = Probes(host)
    guided(guider, *before, *probes.around(*patches)).run(host)
    return probes.steps()[0]


def test_steps_without_a_negative_are_passed_through(host: RunningHost) -> None:
    skipping = node("SkippingGuider", **PROMPTS, cfg=7.0, percent=0.5)
    probes = Probes(host)
    guided(skipping, *probes.around(igg())).run(host)
    acted = [not torch.equal(before.denoised, after.denoised) for before, after in probes.steps()]
    assert acted[0] and not acted[-1]


def test_a_guider_without_a_negative_says_so_and_makes_its_image(host: RunningHost) -> None:
    basic = node("BasicGuider", conditioning=["tiny", 1])
    made = guided(basic, igg()).run(host)["made"]
    assert "BasicGuider has none at all: use KSampler or CFGGuider" in host.process.log_tail()
    assert torch.equal(made, guided(basic).run(host)["made"])


@pytest.mark.parametrize("eta", [1.0, 0.3])
def test_the_mix_replaces_the_cfg_that_apg_changed(host: RunningHost, eta: float) -> None:
    plain, _ = first(host, CFG, ())
    c, u = plain.cond_denoised, plain.uncond_denoised
    apg = node("APG", eta=eta, norm_threshold=0.0, momentum=0.0)
    before, after = first(host, CFG, (apg,), igg(mix="paper 1.40 / -0.40"))
    assert not close(before.denoised, plain.denoised, 1e-3)  # APG acted
    assert close(after.denoised, u + 1.40 * (c - u) - 0.40 * direct(c, u))
    before, after = first(
        host, CFG, (apg,), igg(igg_scale=2.0)
    )  # the sampler's cfg, APG and all, stays
    assert close(after.denoised, before.denoised + 2.0 * direct(c, u))


def test_perp_neg_pushes_from_the_empty_prompt(host: RunningHost) -> None:
    prompts = {**PROMPTS, "empty_conditioning": ["tiny", 3]}
    perp = node("PerpNegGuider", **prompts, cfg=7.0, neg_scale=1.5)
    against = {
        "positive": ["tiny", 1],
        "negative": ["tiny", 3],
    }  # to see the empty prompt's prediction
    plain, _ = first(host, node("CFGGuider", **against, cfg=7.0), ())
    c, e = plain.cond_denoised, plain.uncond_denoised
    before, after = first(host, perp, (), igg(mix="custom", cfg_scale=2.0, igg_scale=0.5))
    wanted = e + 2.0 / 7.0 * (before.denoised - e) + 0.5 * direct(c, e)
    assert close(after.denoised, wanted)
    before, after = first(host, perp, (), igg(igg_scale=0.5))
    assert close(after.denoised, before.denoised + 0.5 * direct(c, e))


@pytest.mark.parametrize("style, scale", [("regular", 3.0), ("nested", 5.0)])
def test_dual_cfg_takes_the_mix_for_one_of_its_pairs(
    host: RunningHost, style: str, scale: float
) -> None:
    """regular: cond2 against the negative, in place of cfg_cond2_negative; nested: cond1 against cond2, of cfg_conds."""
    dual = node("DualCFGGuider", **DUAL, cfg_conds=5.0, cfg_cond2_negative=3.0, style=style)
    before, after = first(host, dual, (), igg(mix="custom", cfg_scale=2.0, igg_scale=0.5))
    c, u = before.cond_denoised, before.uncond_denoised
    assert close(before.denoised, u + scale * (c - u))
    assert close(after.denoised, u + 2.0 * (c - u) + 0.5 * direct(c, u))


# --- settings ---------------------------------------------------------------------------------------------------------


def test_bad_settings(host: RunningHost) -> None:
    bad = {
        "both replace the sampler's cfg": (igg(mix="custom"), igg(mix="paper 1.20 / -0.20")),
        "must not lie after end_percent": (igg(start_percent=0.8, end_percent=0.2),),
        "mix": (igg(mix="paper 9 / 9"),),
        "window": (igg(window="round"),),
        "igg_scale": (igg(igg_scale=1000.0),),
    }
    for message, patches in bad.items():
        graph = Graph()
        graph.branch("bad", *patches)
        assert message in refusal(host, graph)


# --- recording --------------------------------------------------------------------------------------------------------


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
