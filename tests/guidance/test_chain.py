"""The algebra of a chain, and which branches it asks for."""

from dataclasses import replace

import pytest
import torch
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.hidden_cfg import HiddenCFG
from ar_guidance.guidance.schedule import Schedule
from ar_guidance.guidance.ssg import SSG
from hypothesis import given
from hypothesis import strategies as st

GRIDS = ((1, 1), (2, 2), (3, 3), (4, 4))
RUN = RunInfo("scale", GRIDS, published=Schedule("linear ramp"))


def logits(seed: int, step: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    h, w = GRIDS[step]
    return tuple(torch.randn(2, h * w, 7, generator=generator) for _ in range(2))  # type: ignore[return-value]


def apply(guidances: tuple, step: int, cond, uncond, run: RunInfo = RUN):
    return Chain(guidances).begin(run).apply(step, cond, uncond)


def test_empty_chain_is_the_conditional_branch_alone() -> None:
    cond, _ = logits(0)
    assert apply((), 2, cond, None) is cond
    assert Chain().needs_uncond(RUN) == (False,) * 4


@given(st.floats(-5, 15), st.integers(0, 99))
def test_cfg_is_its_formula(scale: float, seed: int) -> None:
    cond, uncond = logits(seed)
    guided = apply((CFG(scale, "constant"),), 2, cond, uncond)
    assert torch.allclose(guided, uncond + scale * (cond - uncond), atol=1e-4)


def test_published_ramp_leaves_the_first_scale_unguided() -> None:
    cond, uncond = logits(1, step=0)
    assert torch.equal(apply((CFG(4.0),), 0, cond, uncond), cond)


@given(st.floats(0.1, 6), st.floats(0.1, 6))
def test_two_cfgs_add_what_lies_beyond_the_conditional_prediction(a: float, b: float) -> None:
    cond, uncond = logits(3)
    both = apply((CFG(a, "constant"), CFG(b, "constant")), 2, cond, uncond)
    assert torch.allclose(both, cond + (a + b - 2) * (cond - uncond), atol=1e-4)


def test_scale_one_is_plain_conditional_sampling() -> None:
    chain = Chain((CFG(1.0, "constant"),))
    cond, _ = logits(4)
    assert chain.needs_uncond(RUN) == (False,) * 4
    assert torch.equal(chain.begin(RUN).apply(2, cond, None), cond)


def test_inputs_are_read_only() -> None:
    cond, uncond = logits(5)
    copies = cond.clone(), uncond.clone()
    apply((CFG(3.0), CFG(2.0)), 2, cond, uncond)
    assert torch.equal(cond, copies[0]) and torch.equal(uncond, copies[1])


def test_equal_branches_make_cfg_the_identity() -> None:
    cond, _ = logits(6)
    assert torch.allclose(apply((CFG(7.0),), 2, cond, cond), cond)


def test_a_causal_cache_is_filled_until_the_last_use() -> None:
    middle = Chain((CFG(4.0, "constant", start=0.3, end=0.7),))
    assert middle.needs_uncond(RUN) == (True, True, True, False)
    free = RunInfo("scale", GRIDS, causal=False)
    assert middle.needs_uncond(free) == (False, True, True, False)


def test_the_unconditional_branch_is_computed_early_only_for_who_remembers_it() -> None:
    """SSG before a CFG that starts late compares the branch with the step before; anywhere else it never sees it."""
    run = RunInfo("scale", ((1, 1), (2, 2), (3, 3), (4, 4), (5, 5)), causal=False)
    late, ssg = CFG(4.0, "constant", start=0.7), SSG(0.5)
    for guidances, first in (
        ((late,), 3),
        ((ssg, late), 2),
        ((ssg, ssg, late), 1),
        ((late, ssg), 3),
        ((SSG(0.0), late), 3),
        ((ssg, CFG(2.0, "constant", start=0.2), late), 0),
        ((ssg,), 5),
    ):
        assert Chain(guidances).needs_uncond(run) == tuple(k >= first for k in range(5)), guidances


@pytest.mark.parametrize("schedule", ["family default", "constant"])
def test_an_interval_that_holds_no_step_is_refused(schedule) -> None:
    for bad in ({"start": 0.5, "end": 0.3}, {"start": -3.0}, {"end": -1.0}):
        with pytest.raises(ValueError, match="start <= end|must lie between"):
            CFG(3.0, schedule, **bad)
    for guidance in (CFG(3.0, schedule, start=0.4, end=0.5), SSG(0.5, start=0.4, end=0.5)):
        with pytest.raises(ValueError, match="guidance 2 of 2 .* none of this model's 4 steps"):
            Chain((CFG(3.0), guidance)).begin(RUN)


def test_an_interval_outside_the_published_one_is_refused() -> None:
    run = replace(RUN, published=Schedule("linear ramp", end=0.8))
    with pytest.raises(
        ValueError, match="from 0 to 0.8 of the run, and this guidance acts from 0.9 to 1"
    ):
        Chain((CFG(3.0, start=0.9),)).begin(run)
    assert Chain((CFG(3.0, start=0.5),)).needs_uncond(replace(run, causal=False))[-2:] == (
        True,
        False,
    )
    assert Chain((CFG(3.0, "constant", start=0.9),)).begin(run)


def test_one_block_cannot_be_mixed_twice() -> None:
    run = replace(RUN, mixable=8)
    with pytest.raises(ValueError, match="behind the same block"):
        Chain((HiddenCFG(3.0, 2), HiddenCFG(7.0, 2))).begin(run)
    Chain((HiddenCFG(3.0, 2), HiddenCFG(7.0, 3), HiddenCFG(1.0, 3))).begin(run)


def test_a_link_that_does_not_fit_is_named() -> None:
    chain = Chain((CFG(3.0), CFG(3.0, "constant", start=0.11, end=0.12)))
    with pytest.raises(ValueError, match=r"guidance 2 of 2 \(cfg\): between start 0.11 and end"):
        chain.begin(RUN)


def test_settings_are_values() -> None:
    assert CFG(3.0) == CFG(3.0) and hash(CFG(3.0)) == hash(CFG(3.0))
