"""Laws of the scale-wise loop, over every family that has one."""

import pytest
import torch
from ar_guidance.guidance.cfg import CFG
from ar_guidance.sampling.draw import Filters
from ar_guidance.tests.rounding import SEEDS, holds
from ar_guidance.tests.tiny import FAMILIES, TinyModel, tiny_var


@pytest.fixture(params=sorted(FAMILIES))
def model(request) -> TinyModel:
    return FAMILIES[request.param]()


def same(first, second) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.tokens, second.tokens, strict=True))


def test_same_seed_same_tokens(model) -> None:
    guidances = (CFG(3.0),)
    assert same(model.sample([1, 2], guidances, seed=9), model.sample([1, 2], guidances, seed=9))
    assert not same(
        model.sample([1, 2], guidances, seed=9), model.sample([1, 2], guidances, seed=10)
    )


def test_image_i_of_a_batch_is_image_i_alone(model) -> None:
    def law(seed: int) -> bool:
        together = model.sample([1, 2, 3], (CFG(3.0),), seed=seed).tokens
        alone = [model.sample([i + 1], (CFG(3.0),), seed=seed, first=i).tokens for i in range(3)]
        rows = (torch.cat(row) for row in zip(*alone, strict=True))
        return all(map(torch.equal, together, rows))

    assert holds(law)


def test_guidance_changes_the_image_and_scale_one_does_not(model) -> None:
    plain = model.sample([1])
    assert same(plain, model.sample([1], (CFG(1.0),)))
    assert not same(plain, model.sample([1], (CFG(6.0, "constant"),)))


def test_dropping_the_unconditional_branch_changes_nothing(model, monkeypatch) -> None:
    early = (CFG(4.0, "constant", end=0.4),)
    dropped = {seed: model.sample([1, 4], early, seed=seed) for seed in SEEDS}
    from ar_guidance.guidance.chain import Chain

    monkeypatch.setattr(Chain, "needs_uncond", lambda self, run: (True,) * run.count)
    assert holds(lambda seed: same(dropped[seed], model.sample([1, 4], early, seed=seed)))


def test_branches_really_are_dropped(model) -> None:
    seen = []
    model.sample(
        [1], (CFG(4.0, "constant", end=0.4),), on_step=lambda p: seen.append(p.uncond is not None)
    )
    assert seen == [True, True, False, False]


# HART adds what no token holds, its residuals, at the last scale.
SUMS = [name for name in sorted(FAMILIES) if not hasattr(FAMILIES[name]().network, "residual")]


@pytest.mark.parametrize("family", SUMS)
def test_features_sum_to_what_the_tokens_say(family) -> None:
    model = FAMILIES[family]()
    result, grids = model.sample([2]), model.run.grids
    with torch.inference_mode():
        total = model.codec.empty_features(1, grids, torch.device("cpu"))
        for k, tokens in enumerate(result.tokens):
            total = total + model.codec.refine(model.codec.lookup(tokens, grids[k]), k, grids)
    assert torch.equal(total, result.features)


def test_an_exception_ends_the_run_and_the_next_one_works(model) -> None:
    class Cancelled(Exception):
        pass

    def cancel(progress) -> None:
        if progress.index == 2:
            raise Cancelled

    before = model.sample([1])
    with pytest.raises(Cancelled):
        model.sample([1], on_step=cancel)
    assert same(before, model.sample([1]))


def test_numbers_that_are_not_finite_are_refused(model) -> None:
    with pytest.raises(ValueError, match="not finite"):
        steps = len(model.run.grids)
        model.sample([1], (CFG(schedule="list", values=(3e38,) * steps),) * 100)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("qk_norm", [False, True])
def test_cached_steps_equal_the_whole_sequence_at_once(shared, qk_norm) -> None:
    model = tiny_var(shared, qk_norm)
    steps = []
    result = model.sample([1, 3], on_step=lambda p: steps.append(p.cond))
    with torch.inference_mode():
        inputs = model.codec.teacher_inputs(result.tokens, model.run.grids)
        whole = model.network(torch.tensor([1, 3]), inputs)
    assert torch.allclose(whole, torch.cat(steps, 1), atol=1e-4)


def test_temperature_zero_ignores_the_seed() -> None:
    model = tiny_var()
    greedy = Filters(temperature=0)
    assert same(
        model.sample([1], seed=1, filters=greedy), model.sample([1], seed=2, filters=greedy)
    )
