"""SoftCFG on next-scale models (our extension): which cached positions fade, by what, and that nothing else does."""

from dataclasses import replace

import pytest
import torch
from ar_guidance.guidance.base import RunInfo, StepResult
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.head import CATEGORICAL, Head
from ar_guidance.guidance.softcfg import BOTH, KEYS, RELEASED, VALUES, SoftCFG
from ar_guidance.models.parts.attention import attend_many
from ar_guidance.models.parts.cache import KVCache, PositionWeights
from ar_guidance.sampling.edit import KeptTokens
from ar_guidance.sampling.plan import SamplerSettings
from ar_guidance.sampling.scalewise import Progress
from ar_guidance.tests.rounding import holds
from ar_guidance.tests.tiny import FAMILIES, TinyModel, tiny_switti

GRIDS = ((1, 1), (2, 2), (2, 3), (3, 3))
RUN = RunInfo("scale", GRIDS, temperature=0.7)
CACHED = sorted(name for name, make in FAMILIES.items() if make().run.causal)
FIXED = CFG(4.0, "constant")


@pytest.fixture(params=CACHED)
def model(request) -> TinyModel:
    return FAMILIES[request.param]()


def seen(model: TinyModel, *guidances, **options) -> list[Progress]:
    steps: list[Progress] = []
    model.sample([1, 2], guidances, on_step=steps.append, **options)
    return steps


def observed(guidance: SoftCFG, steps: int, bits: int = 0) -> tuple:
    """A state that has seen `steps` scales, and their logits and tokens."""
    state, generator = guidance.begin(RUN), torch.Generator().manual_seed(3)
    head, logits, tokens = Head(bits), [], []
    for k, (h, w) in enumerate(GRIDS[:steps]):
        logits.append(torch.randn(2, h * w, 8, generator=generator))
        tokens.append(head.unflatten(logits[k]).argmin(-1))
        drawn = StepResult(k, logits[k], logits[k] * 0.5, logits[k] * 2, tokens[k], head)
        guidance.observe(drawn, RUN, state)
    return state, logits, tokens


def test_earlier_scales_fade_together_and_the_first_never() -> None:
    state, logits, _ = observed(SoftCFG(), 3)
    p = torch.cat([scale.softmax(-1).amax(-1) for scale in logits[1:]], 1)
    weights = SoftCFG().weights(3, RUN, state)
    assert weights is not None and weights.keys is None and weights.values is not None
    assert torch.equal(weights.values[:, :1], torch.ones(2, 1))
    expected = 1 - p / (p.sum(1, keepdim=True) + 1e-8)
    assert torch.allclose(weights.values[:, 1:], expected, atol=1e-6)


def test_the_first_two_scales_have_nothing_to_fade() -> None:
    for count in (0, 1):
        assert SoftCFG().weights(count, RUN, observed(SoftCFG(), count)[0]) is None


@pytest.mark.parametrize("bits", [0, 4])
def test_released_code_takes_the_drawn_token_and_keeps_its_floor(bits) -> None:
    guidance = SoftCFG(convention=RELEASED, strength=2.0)
    state, logits, tokens = observed(guidance, 3, bits)
    c = torch.cat(
        [Head(bits).confidence(x, t, 0.7) for x, t in zip(logits, tokens, strict=True)][1:], 1
    )
    weights = guidance.weights(3, RUN, state)
    expected = (1 - c / (c.sum(1, keepdim=True) + 1e-5)).pow(2).clamp_min(0.05)
    assert torch.allclose(weights.values[:, 1:], expected, atol=1e-6)


def test_a_finer_first_grid_is_spared_as_a_whole() -> None:
    run = replace(RUN, grids=((2, 2), (3, 3), (4, 4)))
    guidance, state = SoftCFG(normalise=False), SoftCFG().begin(run)
    for k, (h, w) in enumerate(run.grids[:2]):
        logits = torch.zeros(1, h * w, 4)
        guidance.observe(StepResult(k, logits, logits, logits, logits.argmax(-1)), run, state)
    weights = guidance.weights(2, run, state)
    assert torch.equal(weights.values, torch.tensor([[1.0] * 4 + [0.75] * 9]))


@pytest.mark.parametrize("perturb", [VALUES, KEYS, BOTH])
@pytest.mark.parametrize("convention", ["paper", RELEASED])
def test_only_the_unconditional_branch_changes_and_only_from_the_third_scale(
    model, perturb, convention
) -> None:
    """Greedy first scales are alike, so both runs read the same image up to where the branches part."""
    plain = seen(model, FIXED)
    soft = seen(
        model,
        SoftCFG(4.0, "constant", normalise=False, perturb=perturb, convention=convention),
    )
    for a, b in zip(plain[:2], soft[:2], strict=True):
        assert torch.equal(a.cond, b.cond) and torch.equal(a.uncond, b.uncond)
        assert torch.equal(a.tokens, b.tokens) and b.weights is None
    assert torch.equal(plain[2].cond, soft[2].cond)
    assert not torch.equal(plain[2].uncond, soft[2].uncond)


def test_strength_zero_and_floor_one_are_cfg(model) -> None:
    plain = seen(model, FIXED)
    for absent in (SoftCFG(4.0, "constant", strength=0.0), SoftCFG(4.0, "constant", floor=1.0)):
        for a, b in zip(plain, seen(model, absent), strict=True):
            assert torch.equal(a.guided, b.guided) and torch.equal(a.tokens, b.tokens)


def test_scale_one_never_computes_the_unconditional_branch(model) -> None:
    steps = seen(model, SoftCFG(1.0, "constant"))
    assert all(step.uncond is None and step.weights is None for step in steps)


def test_off_towards_the_end_drops_the_branch_and_its_weights(model) -> None:
    steps = seen(model, SoftCFG(4.0, "constant", end=0.7))
    assert [step.uncond is None for step in steps] == [False, False, False, True]
    assert steps[2].weights is not None and steps[3].weights is None


def test_off_in_between_leaves_the_branch_as_it_is(model) -> None:
    """CFG beside it keeps the branch alive: where SoftCFG is off, nothing is faded any more."""
    steps = seen(model, SoftCFG(4.0, "constant", end=0.7), CFG(2.0, "constant"))
    assert steps[2].weights is not None and steps[3].weights is None
    assert steps[3].uncond is not None


def test_every_image_has_its_own_weights(model) -> None:
    guidance = (SoftCFG(4.0, "constant", normalise=False),)

    def law(seed: int) -> bool:
        together = model.sample([1, 2], guidance, seed=seed).tokens
        alone = model.sample([2], guidance, seed=seed, first=1).tokens
        return all(torch.equal(t[1:], a) for t, a in zip(together, alone, strict=True))

    assert holds(law)


def test_fading_beside_the_cache_equals_an_edited_cache(model) -> None:
    """The logits of a scale whose weights lie beside the cache = those of a cache multiplied by hand."""
    faded = forward_third_scale(model, edit=False)
    edited = forward_third_scale(model, edit=True)
    assert torch.allclose(faded, edited, atol=1e-5)


def forward_third_scale(model: TinyModel, edit: bool) -> torch.Tensor:
    """Unconditional logits of scale 2 with values and keys of scales 0 and 1 weighted by fixed numbers."""
    network, grids = model.network, model.run.grids
    null = model.null or network.null_condition
    maps = [torch.randn(1, *shape(model, grid), generator=torch.Generator().manual_seed(5))
            for grid in grids]  # fmt: skip
    count = sum(h * w for h, w in grids[:2])
    values, keys = torch.linspace(0.1, 0.9, count)[None], torch.linspace(0.8, 0.3, count)[None]
    with torch.inference_mode():
        state = network.begin((model.condition([1]), null(1)), torch.device("cpu"))
        network.step(state, 0, None, 2)
        network.step(state, 1, maps[1], 2)
        if edit:
            end = state.cache.filled
            place = slice(end - count, end)
            state.cache.values[:, 1, :, place] *= values[0, :, None]
            state.cache.keys[:, 1, :, place] *= keys[0, :, None]
        else:
            state.weigh(values, keys)
        return network.step(state, 2, maps[2], 2)[1:]


def shape(model: TinyModel, grid: tuple[int, int]) -> tuple[int, int, int]:
    """Channels and size of the feature map a network reads at a grid."""
    return model.network.word_embed.in_features, *grid


def test_many_queries_read_copies_and_leave_the_cache_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(4, 2, n, 8, generator=generator) for n in (3, 7, 7))
    values, keys = torch.rand(2, 5, generator=generator), torch.rand(2, 5, generator=generator)
    full = {name: torch.ones(4, 1, 7, 1) for name in ("values", "keys")}
    full["values"][2:, 0, 1:6, 0], full["keys"][2:, 0, 1:6, 0] = values, keys
    weights = PositionWeights(first_row=2, start=1, values=values, keys=keys)
    before = k.clone(), v.clone()
    expected = attend_many(q, k * full["keys"], v * full["values"], scale=0.3)
    assert torch.allclose(attend_many(q, k, v, weights=weights, scale=0.3), expected, atol=1e-6)
    assert torch.equal(k, before[0]) and torch.equal(v, before[1])
    alone = attend_many(q[:2], k[:2], v[:2], weights=weights)  # the other branch was dropped
    assert torch.equal(alone, attend_many(q[:2], k[:2], v[:2]))


def faded(steps: list[Progress]) -> list[torch.Tensor]:
    """The weights of every scale that has any."""
    return [step.weights.values for step in steps if step.weights is not None]


def alike(some: list[Progress], others: list[Progress]) -> bool:
    pairs = list(zip(faded(some), faded(others), strict=True))
    assert pairs
    return all(torch.allclose(a, b, atol=1e-6) for a, b in pairs)


def test_released_code_looks_at_the_temperature_of_every_scale(model) -> None:
    soft, count = SoftCFG(4.0, "constant", convention=RELEASED, normalise=False), model.run.count

    def drawn(**settings) -> list[Progress]:
        return seen(model, soft, sampler_settings=SamplerSettings(smooth=False, **settings))

    assert alike(drawn(temperature=0.3), drawn(temperatures=(0.3,) * count))
    same = drawn(
        temperatures=(0.3,) * (count - 1) + (0.31,)
    )  # the last scale's is looked at by none
    assert alike(drawn(temperature=0.3), same)
    assert not alike(drawn(temperature=0.3), drawn(temperature=0.6))


def test_released_code_looks_at_the_tokens_that_are_kept(model) -> None:
    soft = SoftCFG(4.0, "constant", convention=RELEASED, normalise=False)
    steps: list[Progress] = []
    made = model.sample([1, 2], (soft,), on_step=steps.append)
    masks = [torch.ones(1, *grid, dtype=torch.bool) for grid in model.run.grids]
    again = seen(model, soft, seed=2, kept=KeptTokens(made.tokens, masks))
    assert alike(steps, again) and not alike(steps, seen(model, soft, seed=2))
    pairs = list(zip(steps, again, strict=True))
    assert all(torch.equal(a.tokens, b.tokens) for a, b in pairs)
    assert any(not torch.equal(a.drawn, b.drawn) for a, b in pairs)


def test_a_cache_takes_weights_back() -> None:
    cache = KVCache(1, 4, 2, 9, 8, torch.float32, torch.device("cpu"), start=3)
    cache.weigh(torch.ones(2, 5), None)
    assert cache.weights is not None
    assert (cache.weights.first_row, cache.weights.start) == (2, 3)
    cache.weigh(None, None)
    assert cache.weights is None


def test_a_model_without_a_cache_refuses() -> None:
    with pytest.raises(ValueError, match=r"\(softcfg\): .*keeps none between its scales"):
        tiny_switti().sample([1], (SoftCFG(),))
    Chain((SoftCFG(),)).check(RUN)


def test_confidence_of_bits_is_the_heads() -> None:
    state, logits, _ = observed(SoftCFG(normalise=False), 2, bits=4)
    weights = SoftCFG(normalise=False).weights(2, RUN, state)
    assert torch.allclose(weights.values[:, 1:], 1 - Head(4).confidence(logits[1]), atol=1e-6)
    assert not torch.allclose(weights.values[:, 1:], 1 - CATEGORICAL.confidence(logits[1]))
