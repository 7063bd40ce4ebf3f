"""The CFG-IGG mix is the chain of CFG and IGG, wherever a chain is asked anything."""

import pytest
import torch
from ar_guidance.guidance.base import Guidance, RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.igg import IGG
from ar_guidance.guidance.mixed import Mixed
from ar_guidance.guidance.schedule import Schedule
from ar_guidance.tests.tiny import FAMILIES
from hypothesis import given
from hypothesis import strategies as st

GRIDS = ((1, 1), (2, 2), (3, 2), (4, 5))
RUN = RunInfo("scale", GRIDS, published=Schedule("held ramp"))
SETTINGS = [
    {"schedule": "constant"},
    {"schedule": "family default"},
    {"schedule": "cosine power", "power": 2.0},
    {"schedule": "constant", "start": 0.3, "end": 0.7},
]


def both_ways(scale: float, igg_scale: float, settings: dict) -> tuple[Chain, Chain]:
    """A mix, and the chain it stands for."""
    guidances: tuple[Guidance, ...] = (CFG(scale, **settings), IGG(igg_scale, **settings))
    return Chain((Mixed(scale, igg_scale=igg_scale, **settings),)), Chain(guidances)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@given(st.sampled_from([0.0, 1.0, 1.4, 3.0]), st.sampled_from([-0.4, 0.0, 1.0, 2.5]))
def test_same_strength_branches_and_logits(settings, scale, igg_scale) -> None:
    mixed, chained = both_ways(scale, igg_scale, settings)
    assert mixed.needs_uncond(RUN) == chained.needs_uncond(RUN)
    one, two = mixed.begin(RUN), chained.begin(RUN)
    generator = torch.Generator().manual_seed(1)
    for k, (h, w) in enumerate(GRIDS):
        assert mixed.strength(k, RUN) == pytest.approx(chained.strength(k, RUN))
        cond, uncond = torch.randn(2, 2, h * w, 7, generator=generator)
        assert torch.equal(one.apply(k, cond, uncond), two.apply(k, cond, uncond))


def test_strength_is_that_of_both_terms() -> None:
    mixed, _ = both_ways(1.4, -0.4, {"schedule": "constant"})
    assert mixed.strength(3, RUN) == pytest.approx(1.0)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_same_images(family) -> None:
    """HART's residual is guided by the strength alone, inside its diffusion head."""
    model = FAMILIES[family]()
    one, two = both_ways(3.0, 1.5, {"schedule": "constant"})
    mixed, chained = model.sample([1, 2], one.guidances), model.sample([1, 2], two.guidances)
    for a, b in zip(mixed.tokens, chained.tokens, strict=True):
        assert torch.equal(a, b)
    assert torch.equal(mixed.features, chained.features)
