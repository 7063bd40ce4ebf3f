"""Laws of the token-wise loop, over every family that has one."""

from itertools import pairwise

import pytest
import torch
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.softcfg import SoftCFG
from ar_guidance.sampling.draw import Filters
from ar_guidance.sampling.edit import KeptSequence
from ar_guidance.tests.rounding import SEEDS, holds
from ar_guidance.tests.tiny_tokens import TOKEN_FAMILIES, TinyTokens

GUIDED = (CFG(3.0, "constant"),)
CHAINS = {"none": (), "cfg": GUIDED, "softcfg": (SoftCFG(3.0, "constant"),)}


@pytest.fixture(params=sorted(TOKEN_FAMILIES))
def model(request) -> TinyTokens:
    return TOKEN_FAMILIES[request.param]()


def test_same_seed_same_tokens(model) -> None:
    first = model.sample([1, 2], GUIDED, seed=9).tokens
    assert first.shape == (2, model.network.config.length)
    assert torch.equal(first, model.sample([1, 2], GUIDED, seed=9).tokens)
    assert not torch.equal(first, model.sample([1, 2], GUIDED, seed=10).tokens)


@pytest.mark.parametrize("guidances", CHAINS.values(), ids=CHAINS)
def test_image_i_of_a_batch_is_image_i_alone(model, guidances) -> None:
    def law(seed: int) -> bool:
        together = model.sample([1, 2, 3], guidances, seed=seed).tokens
        alone = [model.sample([i + 1], guidances, seed=seed, first=i).tokens for i in range(3)]
        return torch.equal(together, torch.cat(alone))

    assert holds(law)


def test_cached_loop_equals_the_whole_sequence_at_once(model) -> None:
    steps = []
    tokens = model.sample([1, 3], GUIDED, on_step=steps.append).tokens
    conditions = model.job([1, 3]).conditions
    with torch.inference_mode():
        cond = model.network(conditions[0], tokens)
    assert torch.allclose(cond, torch.cat([step.cond for step in steps], 1), atol=1e-4)
    assert not torch.allclose(cond, torch.cat([step.uncond for step in steps], 1), atol=1e-2)


def test_dropping_the_unconditional_branch_changes_nothing(model, monkeypatch) -> None:
    early = (CFG(4.0, "constant", end=0.4),)
    seen = []
    model.sample([1, 4], early, on_step=lambda step: seen.append(step.uncond is not None))
    dropped = {seed: model.sample([1, 4], early, seed=seed).tokens for seed in SEEDS}
    assert seen[0] and not seen[-1] and all(a >= b for a, b in pairwise(seen))
    monkeypatch.setattr(Chain, "needs_uncond", lambda self, run: (True,) * run.count)
    assert holds(
        lambda seed: torch.equal(dropped[seed], model.sample([1, 4], early, seed=seed).tokens)
    )


def test_scale_one_is_no_guidance(model) -> None:
    plain = model.sample([1]).tokens
    assert torch.equal(plain, model.sample([1], (CFG(1.0),)).tokens)
    assert not torch.equal(plain, model.sample([1], (CFG(6.0),)).tokens)


def test_kept_tokens_stay_and_the_rest_follows_them(model) -> None:
    given, length = model.sample([1], seed=5).tokens, model.network.config.length
    fresh = model.sample([2], seed=6).tokens
    every = KeptSequence(given, torch.ones(length))
    assert torch.equal(model.sample([2], seed=6, kept=every).tokens, given)
    none = KeptSequence(given, torch.zeros(length))
    assert torch.equal(model.sample([2], seed=6, kept=none).tokens, fresh)
    scattered = (torch.arange(length) % 3 == 0)[None]
    mixed = model.sample([2], seed=6, kept=KeptSequence(given, scattered)).tokens
    assert torch.equal(mixed[scattered], given[scattered])


def test_a_kept_prefix_is_continued_as_it_was(model) -> None:
    given = model.sample([3], GUIDED, seed=8).tokens
    prefix = torch.arange(given.shape[1]) < 4
    again = model.sample([3], GUIDED, seed=8, kept=KeptSequence(given, prefix)).tokens
    assert torch.equal(again, given)


def test_an_exception_ends_the_run_and_the_next_one_works(model) -> None:
    class Cancelled(Exception):
        pass

    def cancel(progress) -> None:
        if progress.index == 2:
            raise Cancelled

    before = model.sample([1]).tokens
    with pytest.raises(Cancelled):
        model.sample([1], on_step=cancel)
    assert torch.equal(before, model.sample([1]).tokens)


def test_progress_shows_the_tokens_so_far(model) -> None:
    lengths = []
    model.sample([1, 2], on_step=lambda step: lengths.append(tuple(step.tokens.shape)))
    assert lengths == [(2, k + 1) for k in range(model.network.config.length)]


def test_numbers_that_are_not_finite_are_refused(model) -> None:
    last_norm = next(
        p for name, p in reversed([*model.network.named_parameters()]) if "norm" in name
    )
    last_norm.data.fill_(torch.nan)
    with pytest.raises(ValueError, match="not finite"):
        model.sample([1], GUIDED)


def test_temperature_zero_ignores_the_seed(model) -> None:
    greedy = Filters(temperature=0)
    first = model.sample([1], seed=1, filters=greedy).tokens
    assert torch.equal(first, model.sample([1], seed=2, filters=greedy).tokens)
