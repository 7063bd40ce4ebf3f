"""SoftCFG: its weights, what they act on, and when it is exactly CFG."""

import pytest
import torch
from ar_guidance.guidance.base import RunInfo, StepResult
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.softcfg import (
    BOTH,
    KEYS,
    RELEASED,
    VALUES,
    SoftCFG,
    position_weights,
)
from ar_guidance.models.parts.attention import attend
from ar_guidance.models.parts.cache import PositionWeights
from ar_guidance.sampling.edit import KeptSequence
from ar_guidance.tests.tiny_tokens import TOKEN_FAMILIES, TinyTokens
from hypothesis import given
from hypothesis import strategies as st

RUN = RunInfo("token", ((1, 1),) * 6)
ROUNDING = 2e-6  # of logits of about 1: with weights another kernel attends, and on several threads it rounds differently
probabilities = st.lists(st.floats(0.01, 1.0), min_size=1, max_size=40)


@pytest.fixture(params=sorted(TOKEN_FAMILIES))
def model(request) -> TinyTokens:
    return TOKEN_FAMILIES[request.param]()


@given(probabilities, st.booleans(), st.floats(0, 4), st.floats(0, 1))
def test_weights_lie_between_the_floor_and_one(values, normalise, strength, floor) -> None:
    weights = position_weights(torch.tensor([values]), normalise, strength, floor, 1e-8)
    assert (weights >= floor).all() and (weights <= 1).all()


@given(probabilities)
def test_step_normalisation_removes_one_token_in_all(values) -> None:
    weights = position_weights(torch.tensor([values]), True, 1.0, 0.0, 1e-8)
    assert (1 - weights).sum().item() == pytest.approx(1.0, abs=1e-4)


@given(probabilities)
def test_surer_tokens_weigh_less(values) -> None:
    sure = torch.tensor([sorted(values)])
    for normalise in (True, False):
        weights = position_weights(sure, normalise, 1.0, 0.0, 1e-8)
        assert (weights.diff() <= 1e-6).all()


@given(probabilities)
def test_without_normalisation_a_weight_is_one_minus_confidence(values) -> None:
    sure = torch.tensor([values])
    assert torch.allclose(position_weights(sure, False, 1.0, 0.0, 1e-8), 1 - sure)


def observed(guidance: SoftCFG, steps: int) -> tuple:
    """A state that has seen `steps` steps of one image, and their logits and tokens."""
    state = guidance.begin(RUN)
    logits = torch.randn(steps, 1, 1, 7, generator=torch.Generator().manual_seed(4))
    tokens = logits.argmin(-1)
    for k in range(steps):
        guidance.observe(
            StepResult(k, logits[k], logits[k] * 0.5, logits[k] * 2, tokens[k]), RUN, state
        )
    return state, logits[:, 0, 0], tokens[:, 0, 0]


def test_paper_weighs_every_drawn_token_with_its_own_confidence() -> None:
    guidance = SoftCFG()
    state, logits, _ = observed(guidance, 3)
    p = logits.softmax(-1).amax(-1)
    weights = guidance.weights(3, RUN, state)
    assert weights is not None and weights.keys is None
    assert torch.allclose(weights.values[0], 1 - p / p.sum(), atol=1e-6)


def test_released_code_uses_the_successor_and_spares_the_newest_token() -> None:
    guidance = SoftCFG(convention=RELEASED, strength=0.5)
    state, logits, tokens = observed(guidance, 4)
    assert guidance.weights(1, RUN, state) is None
    c = logits.softmax(-1)[torch.arange(4), tokens][1:]
    weights = guidance.weights(4, RUN, state)
    expected = (1 - c / (c.sum() + 1e-5)).sqrt().clamp_min(0.05)
    assert torch.allclose(weights.values[0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("source", "factor"), [("conditional", 1), ("unconditional", 0.5), ("guided", 2)]
)
def test_confidence_of_the_chosen_prediction(source, factor) -> None:
    guidance = SoftCFG(confidence=source, normalise=False)
    state, logits, _ = observed(guidance, 2)
    p = (logits * factor).softmax(-1).amax(-1)
    assert torch.allclose(guidance.weights(2, RUN, state).values[0], 1 - p, atol=1e-6)


@pytest.mark.parametrize("convention", ["paper", RELEASED])
@pytest.mark.parametrize("normalise", [True, False])
def test_strength_zero_is_cfg_to_the_bit(model, convention, normalise) -> None:
    soft = SoftCFG(4.0, "constant", strength=0.0, convention=convention, normalise=normalise)
    plain, seen = [], []
    tokens = model.sample([1, 2], (CFG(4.0, "constant"),), on_step=plain.append).tokens
    assert torch.equal(tokens, model.sample([1, 2], (soft,), on_step=seen.append).tokens)
    for a, b in zip(plain, seen, strict=True):
        assert torch.equal(a.guided, b.guided) and b.weights is None


def test_floor_one_is_cfg(model) -> None:
    soft = SoftCFG(4.0, "constant", floor=1.0)
    cfg = model.sample([1, 2], (CFG(4.0, "constant"),)).tokens
    assert torch.equal(model.sample([1, 2], (soft,)).tokens, cfg)


def test_scale_one_never_computes_the_unconditional_branch(model) -> None:
    seen = []
    tokens = model.sample([1], (SoftCFG(1.0, "constant"),), on_step=seen.append).tokens
    assert all(step.uncond is None for step in seen)
    assert torch.equal(tokens, model.sample([1]).tokens)


@pytest.mark.parametrize("perturb", [VALUES, KEYS, BOTH])
def test_only_the_unconditional_branch_changes(model, perturb) -> None:
    plain, seen = [], []
    every = model.sample([1, 2], (CFG(4.0, "constant"),), on_step=plain.append).tokens
    soft = SoftCFG(4.0, "constant", perturb=perturb)
    kept = KeptSequence(every, torch.ones(every.shape[1]))
    model.sample([1, 2], (soft,), on_step=seen.append, kept=kept)
    for k, (a, b) in enumerate(zip(plain, seen, strict=True)):
        assert torch.allclose(a.cond, b.cond, atol=ROUNDING)
        assert torch.allclose(a.uncond, b.uncond, atol=ROUNDING) == (k == 0)


def test_other_links_use_the_same_unconditional_branch(model) -> None:
    both = (SoftCFG(2.0, "constant"), CFG(1.5, "constant"))
    seen = []
    model.sample([1], both, on_step=seen.append)
    for step in seen:
        expected = step.uncond + 2.5 * (step.cond - step.uncond)
        assert torch.allclose(step.guided, expected, atol=1e-4)


def test_weights_beside_the_cache_equal_scaled_copies() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(4, 2, n, 8, generator=generator) for n in (1, 7, 7))
    values, keys = torch.rand(2, 5, generator=generator), torch.rand(2, 5, generator=generator)
    full = {name: torch.ones(4, 1, 7, 1) for name in ("values", "keys")}
    full["values"][2:, 0, 1:6, 0], full["keys"][2:, 0, 1:6, 0] = values, keys
    weights = PositionWeights(first_row=2, start=1, values=values, keys=keys)
    before = k.clone(), v.clone()
    expected = attend(q, k * full["keys"], v * full["values"])
    assert torch.allclose(attend(q, k, v, weights=weights), expected, atol=1e-6)
    assert torch.equal(k, before[0]) and torch.equal(v, before[1])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("perturb", ["values", "keys"])
@pytest.mark.parametrize("queries", [1, 40])
def test_half_precision_keeps_weights_next_to_one(dtype, perturb, queries) -> None:
    """In a long image each token fades by a thousandth, which is nothing to a half; all together move the result."""
    count, generator = 2048, torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 8, n, 64, generator=generator) for n in (queries, count, count))
    half = (
        torch.arange(count) < count // 2
    )  # these pull one way, the others the other, and only these fade
    q, k, v = q + 0.5, k + 1, v * 0.3 + torch.where(half, 1.0, -1.0)[:, None]
    weights = PositionWeights(1, 0, **{perturb: (1 - half / 1500.0)[None]})

    def moved(kind: torch.dtype) -> float:
        given = [x.to(kind) for x in (q, k, v)]
        plain, other = attend(*given), attend(*given, weights=weights)
        # Single precision is computed in another order; it is never rounded to a half.
        rounding = 64 if kind == torch.float32 else 4
        assert torch.allclose(plain[0], other[0], rtol=0, atol=rounding * torch.finfo(kind).eps)
        return (other.float() - plain.float())[1].mean().item()

    exact = moved(torch.float32)
    assert exact < -2e-4
    assert moved(dtype) == pytest.approx(exact, rel=0.3)


def test_refusals() -> None:
    uncached = RunInfo("scale", ((1, 1), (2, 2)), causal=False)
    with pytest.raises(ValueError, match=r"guidance 1 of 1 \(softcfg\): .*keeps none between"):
        Chain((SoftCFG(),)).begin(uncached)
    with pytest.raises(ValueError, match="keep one of them"):
        Chain((SoftCFG(), SoftCFG())).begin(RUN)
    for bad in ({"strength": -1.0}, {"floor": -0.5}, {"perturb": "x"}, {"confidence": "x"}):
        with pytest.raises(ValueError):
            SoftCFG(**bad)
