"""ARDiffusionIGG behind the guiders of ComfyUI: those without a negative, APG, PerpNeg, dual CFG."""

from __future__ import annotations

import pytest
import torch
from ar_guidance.tests.hosts.diffusion_graphs import (
    STEPS,
    Graph,
    Probes,
    close,
    direct,
    igg,
)
from ar_guidance.tests.hosts.graphs import node
from ar_guidance.tests.hosts.running import RunningHost


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
