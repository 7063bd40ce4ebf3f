"""ARDiffusionIGG on tiny stock diffusion models, through the stock KSampler of both hosts."""

from __future__ import annotations

import pytest
import torch
from ar_guidance.tests.hosts.diffusion_graphs import (
    Graph,
    Probes,
    close,
    direct,
    igg,
    refusal,
    sample,
)
from ar_guidance.tests.hosts.graphs import node
from ar_guidance.tests.hosts.running import RunningHost

PAPER = {"paper 1.40 / -0.40": (1.40, -0.40), "paper 1.20 / -0.20": (1.20, -0.20)}
RESCALE = node("RescaleCFG", multiplier=0.7)  # takes the single sampler_cfg_function slot
ZERO_STAR = node("CFGZeroStar")  # a post-CFG hook that adds
NORM = node("CFGNorm", strength=0.9)  # a post-CFG hook that multiplies
APG = node("APG", eta=0.5, norm_threshold=3.0, momentum=0.0)  # a pre-CFG hook


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
