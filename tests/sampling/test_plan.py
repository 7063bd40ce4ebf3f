"""A run is what the user asks, what the family publishes where nothing is asked, and what it declares."""

from dataclasses import replace

import pytest
import torch
from ar_guidance.benchmarks.releases import RELEASES
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.hidden_cfg import HiddenCFG
from ar_guidance.loaders.families import TRANSFORMERS
from ar_guidance.models.family import view
from ar_guidance.models.hart import network as hart
from ar_guidance.models.switti import network as switti
from ar_guidance.sampling.draw import Filters, Streams
from ar_guidance.sampling.plan import SamplerSettings, Smoother, plan
from ar_guidance.sampling.tokenwise import TokenwiseJob
from ar_guidance.tests.tiny import FAMILIES, TinyModel, tiny_hart, tiny_infinity, tiny_switti
from ar_guidance.tests.tiny_tokens import tiny_llamagen


def run_of(model, sampler_settings: SamplerSettings | None = None, guidances=()):
    conditions = model.condition([1]), None
    return plan(
        model, conditions, 1, guidances, sampler_settings or SamplerSettings(), Streams(0, 1)
    )


def long_switti(scales: int) -> TinyModel:
    """A model that is asked for its settings only; as many scales as the 512 or 1024 release."""
    model = tiny_switti()
    model.network.config = replace(model.config, sides=tuple(range(1, scales + 1)))
    return model


def test_open_settings_are_the_published_ones() -> None:
    job = run_of(tiny_infinity())
    assert job.draw.filters == Filters(0.5, 900, 0.97) and job.smooth is None
    assert job.run.mixable == tiny_infinity().config.depth and job.run.causal
    job = run_of(tiny_hart())
    assert {f.top_k for f in (job.draw.at(k) for k in range(4))} == {600}
    assert job.run.published.kind == "held ramp" and job.noise is not None
    assert job.smooth.positions == (0, 1 / 3, 2 / 3, 2 / 3)  # the last scale repeats the one before


def test_late_settings_hold_from_their_step_on() -> None:
    job = run_of(long_switti(14))
    late = [job.draw.at(k).temperature for k in range(14)]
    assert late == [1.0] * 11 + [0.1] * 3
    assert [r is not None for r in job.smooth.positions] == [False] * 2 + [True] * 9 + [False] * 3
    assert not job.smooth.filtered and not job.run.causal
    short = run_of(long_switti(10))
    assert short.draw.filters == Filters(1.0, 400, 0.95) and short.smooth is None
    config = replace(tiny_hart().config, sides=tuple(range(1, 15)))
    model = replace(tiny_hart(), network=view(tiny_hart().network, config))
    assert [run_of(model).draw.at(k).top_k for k in range(14)] == [600] * 7 + [300] * 7


def test_what_is_asked_replaces_what_is_published() -> None:
    job = run_of(
        long_switti(14), SamplerSettings(temperature=0.7, top_k=5, top_p=1.0, smooth=False)
    )
    assert job.draw.filters == Filters(0.7, 5, 1.0) and job.smooth is None
    listed = run_of(tiny_infinity(), SamplerSettings(temperatures=(1.0, 0.9, 0.8, 0.0)))
    assert [listed.draw.at(k).temperature for k in range(4)] == [1.0, 0.9, 0.8, 0.0]
    with pytest.raises(ValueError, match="2 temperatures are listed, but this model takes 4 steps"):
        run_of(tiny_infinity(), SamplerSettings(temperatures=(1.0, 0.5)))
    with pytest.raises(ValueError, match="temperature must be 0 or more"):
        SamplerSettings(temperatures=(1.0, -0.5))


def test_greedy_mixes_nothing() -> None:
    assert run_of(tiny_hart(), SamplerSettings(temperature=0.0)).smooth is None
    with pytest.raises(ValueError, match="nothing to mix"):
        run_of(tiny_hart(), SamplerSettings(temperature=0.0, smooth=True))


def test_what_a_family_cannot_do_is_refused() -> None:
    with pytest.raises(ValueError, match="Infinity model has no code vectors to mix"):
        run_of(tiny_infinity(), SamplerSettings(smooth=True))
    run_of(tiny_infinity(), guidances=(HiddenCFG(depth=1),))
    with pytest.raises(ValueError, match="cannot mix branches inside"):
        run_of(tiny_hart(), guidances=(HiddenCFG(depth=1),))


def test_token_wise_runs_come_from_the_same_place() -> None:
    tiny = tiny_llamagen()
    assert isinstance(run_of(tiny), TokenwiseJob)
    assert run_of(tiny).run.grids == ((1, 1),) * 12
    assert run_of(tiny).draw.filters == Filters(1.0, 2000, 1.0)
    with pytest.raises(ValueError, match="for scale-wise models"):
        run_of(tiny, SamplerSettings(temperatures=tuple(0.1 * k for k in range(12))))


@pytest.mark.parametrize("name", ["hart", "switti", "var", "var_clip"])
def test_mixing_is_off_on_and_an_image_s_own(name) -> None:
    model, on = FAMILIES[name](), SamplerSettings(smooth=True)
    drawn = model.sample([1, 2], (CFG(2.0),), sampler_settings=SamplerSettings(smooth=False))
    mixed = model.sample([1, 2], (CFG(2.0),), sampler_settings=on)
    assert not torch.allclose(drawn.features, mixed.features, atol=1e-3)
    second = model.sample([2], (CFG(2.0),), sampler_settings=on, first=1)
    assert torch.allclose(mixed.features[1:], second.features, atol=1e-4)


def test_mixing_sees_the_filters_only_where_the_release_does() -> None:
    logits = torch.randn(1, 3, 8)
    filters = (Filters(2.0, top_k=2),)
    for filtered in (True, False):
        weights = Smoother(filters, Streams(0, 1), (0.0,), filtered)(logits, 0)
        assert torch.allclose(weights.sum(-1), torch.ones(1, 3))
        assert ((weights > 0).sum(-1) <= 2).all() == filtered


def test_a_run_at_another_size_leaves_the_network_alone() -> None:
    tiny = tiny_infinity()
    before = tiny.sample([1])
    sized = tiny.family.sized(tiny.config, 176, 352, 16)  # a longer list of the same shape
    large = replace(tiny, network=view(tiny.network, sized))
    assert large.sample([1]).features.shape[-2:] == (22, 44)  # two codes per side of a token
    assert large.network.cache_bytes(2) > tiny.network.cache_bytes(2)
    again = tiny.sample([1])
    assert all(torch.equal(a, b) for a, b in zip(before.tokens, again.tokens, strict=True))


def test_a_token_wise_run_at_another_size() -> None:
    tiny = tiny_llamagen()
    sized = tiny.family.sized(tiny.network.config, 256, 256, 16)
    assert sized.length == 256 and tiny.network.config.length == 12
    assert tiny.family.sized(tiny.network.config, 512, 512, 16).grid == (32, 32)
    with pytest.raises(ValueError, match="nearest: 512x512, 384x384, 256x256$"):
        tiny.family.sized(tiny.network.config, 1024, 1024, 16)


def test_every_released_family_lists_the_sizes_its_releases_make() -> None:
    for family in TRANSFORMERS:
        assert family.sizes or family.name not in RELEASES, family.name
    assert (720, 1440) in {size for family in TRANSFORMERS for size in family.sizes}


def test_published_defaults_are_those_of_the_fact_sheets() -> None:
    found = hart.FAMILY.defaults_for(tiny_hart().config)
    assert (found.scale, found.smooth, found.late_top_k) == (5.5, True, (7, 300))
    found = switti.FAMILY.defaults_for(long_switti(14).config)
    assert (found.scale, found.top_k, found.top_p) == (7.0, 400, 0.95)
