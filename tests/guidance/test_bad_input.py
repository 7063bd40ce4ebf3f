"""Bad input to guided runs: refused with a reason, before the run wherever that can be known, or of defined behaviour."""

import math

import pytest
import torch
from ar_guidance.analysis.measure import check_subject
from ar_guidance.guidance.base import Guidance, RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.combining import Combining
from ar_guidance.guidance.hidden_cfg import HiddenCFG
from ar_guidance.guidance.igg import IGG
from ar_guidance.guidance.mixed import Mixed
from ar_guidance.guidance.record import TraceRecorder
from ar_guidance.guidance.registry import METHODS
from ar_guidance.guidance.softcfg import SoftCFG
from ar_guidance.guidance.ssg import SSG
from ar_guidance.tests.tiny import FAMILIES, TinyModel
from ar_guidance.tests.tiny_tokens import TOKEN_FAMILIES, TinyTokens

BAD = [math.nan, math.inf, -math.inf]
GRIDS = ((1, 1), (2, 2), (3, 3))


def names(guidance: Guidance) -> str:
    return guidance.name


def spoil(model: TinyModel | TinyTokens, value: float, row: int, at: int) -> None:
    """From now on step `at` of the network predicts one number that is none, in one row (-1: the last branch)."""
    name = "read" if isinstance(model, TinyTokens) else "step"
    forward, calls = getattr(model.network, name), []

    def step(*arguments):
        logits = forward(*arguments)
        if len(calls) == at:
            logits.flatten(1)[row, 2] = value
        calls.append(at)
        return logits

    setattr(model.network, name, step)


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("row", [0, -1])
@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_logits_that_are_no_numbers_are_refused(method, value, row) -> None:
    for at in (1, 3):
        inside = method is HiddenCFG
        guidance = HiddenCFG(depth=1) if inside else method()
        model = FAMILIES["infinity" if inside else "var"]()
        spoil(model, value, row, min(at, model.run.count - 1))
        recorder = TraceRecorder(model.run.grids)
        with pytest.raises(ValueError, match="not finite numbers: a guidance scale may be far too"):
            model.sample([1, 2], (guidance, CFG(2.0, "constant")), recorder=recorder)


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("family", sorted({**FAMILIES, **TOKEN_FAMILIES}))
def test_every_loop_and_head_refuses_them(family, value) -> None:
    model = {**FAMILIES, **TOKEN_FAMILIES}[family]()
    spoil(model, value, -1, 2)
    with pytest.raises(ValueError, match="not finite numbers"):
        model.sample([1], (CFG(2.0, "constant"),))


@pytest.mark.parametrize(
    "method",
    [m for m in METHODS.values() if issubclass(m, Combining) and m is not Mixed],
    ids=lambda method: method.name,
)
@pytest.mark.parametrize("values", [(2.0,), (1.0, 2.0), (1.0, 2.0, 3.0, 4.0)])
def test_a_list_of_another_length_is_fitted_with_a_note(method, values) -> None:
    chain, run = Chain((method(schedule="list", values=values),)), RunInfo("scale", GRIDS)
    chain.check(run)
    assert (
        f"list of {len(values)} numbers was fitted to this model's 3 steps" in chain.notes(run)[0]
    )
    assert chain.notes(run)[0].startswith(f"{method.name}: ")
    assert chain.guidances[0].gamma(2, run) == values[-1]
    assert Chain((method(schedule="list", values=(1.0, 2.0, 3.0)),)).notes(run) == ()


@pytest.mark.parametrize("method", [IGG, Mixed])
def test_a_window_larger_than_the_grid_is_global(method) -> None:
    model = FAMILIES["infinity"]()  # grids that are not square
    everything = model.sample([1, 2], (method(schedule="constant"),))
    large = method(schedule="constant", window="fixed side", window_side=99)
    assert everything.features.equal(model.sample([1, 2], (large,)).features)


@pytest.mark.parametrize("guidance", [SSG(), IGG(), Mixed()], ids=names)
@pytest.mark.parametrize("family", sorted(TOKEN_FAMILIES))
def test_methods_of_scales_are_refused_by_every_token_by_token_family(family, guidance) -> None:
    with pytest.raises(ValueError, match=rf"\({guidance.name}\): .*use CFG or SoftCFG"):
        TOKEN_FAMILIES[family]().sample([1], (guidance,))


def test_softcfg_without_a_cache_is_refused_before_the_network_is_asked() -> None:
    model = FAMILIES["switti"]()
    model.network.begin = None  # would fail if the run got that far
    with pytest.raises(ValueError, match=r"\(softcfg\): .*key/value cache.*use CFG, IGG or SSG"):
        model.sample([1], (SoftCFG(),))


@pytest.mark.parametrize(("level", "what"), [(0.0, "every pixel"), (1.0, "no pixel")])
def test_a_mask_of_one_value_is_refused(level, what) -> None:
    """All black marks no subject, so every pixel is background; all white leaves no background."""
    with pytest.raises(ValueError, match=f"{what} as background: paint the subject"):
        check_subject(torch.full((1, 8, 8), level) > 0.5)
