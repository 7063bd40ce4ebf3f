"""Keys and values in 8 bits: how far they are rounded, what they take, and that every family runs with them."""

import pytest
import torch
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.softcfg import SoftCFG
from ar_guidance.models.parts.cache import KVCache
from ar_guidance.models.parts.eight_bit_cache import EightBitCache, rounded
from ar_guidance.sampling.draw import Filters
from ar_guidance.sampling.parallel import Window
from ar_guidance.sampling.plan import SamplerSettings
from ar_guidance.tests.rounding import holds
from ar_guidance.tests.tiny import CPU, FAMILIES, tiny_switti
from ar_guidance.tests.tiny_tokens import TOKEN_FAMILIES

CACHED = sorted(set(FAMILIES) - {"switti"})
SIZES = (3, 4, 2, 10, 64)  # layers, rows, heads, length, head width


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_vector_is_rounded_by_a_254th_of_its_largest_number_at_most(dtype) -> None:
    vectors = (torch.randn(5, 2, 7, 64) * torch.logspace(-3, 2, 7)[:, None]).to(dtype)
    vectors[0, 0, 0] = 0
    numbers, scale = rounded(vectors)
    assert numbers.dtype == torch.int8
    apart = (numbers * scale.float() - vectors.float()).abs().amax(-1)
    least = torch.finfo(dtype).tiny  # of a scale
    assert (apart <= vectors.float().abs().amax(-1) / 254 * 1.005 + least / 2).all()


def test_numbers_that_are_none_stay_none() -> None:
    """The loops refuse a run whose logits are not finite: rounding must not hide them."""
    for bad in (torch.nan, torch.inf):
        numbers, scale = rounded(torch.tensor([1.0, bad]))
        assert not (numbers * scale).isfinite().any()


def test_stored_positions_come_back_and_the_last_step_is_not_kept() -> None:
    cache = EightBitCache(*SIZES, torch.float32, CPU)
    first, second, last = (torch.randn(4, 2, count, 64) for count in (6, 4, 5))
    assert cache.append(1, first, first)[0].shape[2] == 6
    cache.advance(6)
    keys, values = cache.append(1, second[:2], -second[:2])  # fewer rows: a branch is dropped
    wanted = torch.cat((first[:2], second[:2]), 2)
    assert (keys - wanted).abs().max() < 0.02 and (values[:, :, 6:] + second[:2]).abs().max() < 0.02
    cache.advance(4)
    keys, _ = cache.append(1, last[:2], last[:2])
    assert torch.equal(keys[:, :, 10:], last[:2]) and keys.shape[2] == 15


@pytest.mark.parametrize(("dtype", "share"), [(torch.float32, 0.27), (torch.bfloat16, 0.52)])
def test_what_it_takes(dtype, share) -> None:
    sizes = (24, 4, 2, 500, 64)
    cache, told = EightBitCache(*sizes, dtype, CPU), EightBitCache.bytes(*sizes, dtype.itemsize)
    held = (cache.keys, cache.values, cache.key_scales, cache.value_scales)
    taken = sum(tensor.nbytes for tensor in held)
    plain = KVCache.bytes(*sizes, dtype.itemsize)
    assert taken <= share * plain and taken < told <= taken + plain / 8


@pytest.mark.parametrize("name", sorted(TOKEN_FAMILIES))
@pytest.mark.parametrize("guidance", [CFG(3.0, "constant"), SoftCFG(3.0, "constant")])
def test_token_wise_families_run_and_several_tokens_a_pass_are_the_same(
    name, guidance, monkeypatch
) -> None:
    model, filters, runs = TOKEN_FAMILIES[name](), Filters(temperature=0.3), []
    monkeypatch.setattr(Window, "_width", lambda self: min(5, self.widths[-1]))

    def law(seed: int) -> bool:
        given = {"seed": seed, "filters": filters, "cache": EightBitCache}
        runs[:] = [
            model.sample([1, 2], (guidance,), widest=widest, **given).tokens for widest in (1, 32)
        ]
        return torch.equal(*runs)

    assert holds(law)


@pytest.mark.parametrize("name", CACHED)
def test_scale_wise_families_see_nearly_the_same(name: str) -> None:
    model, steps = FAMILIES[name](), []
    for on in (False, True):
        asked = SamplerSettings(temperature=0, smooth=False, eight_bit_cache=on)
        model.sample([1, 2], (CFG(3.0),), sampler_settings=asked, on_step=steps.append)
    half = len(steps) // 2
    for plain, eight in zip(steps[:half], steps[half:], strict=True):
        if not torch.equal(plain.tokens, eight.tokens):
            break  # from here on they draw different images
        apart = (plain.cond - eight.cond).abs().max()
        assert apart <= 0.15 * plain.cond.std()
    else:
        assert apart > 0  # the cache was used


@pytest.mark.parametrize("name", CACHED)
def test_a_run_in_the_middle_of_another_changes_nothing(name: str) -> None:
    """Nothing of a run is outside it: another model, with another cache, may run between any two of its steps."""
    outer, inner = FAMILIES[name](), TOKEN_FAMILIES["llamagen"]()
    plain = SamplerSettings(smooth=False)
    alone = [outer.sample([1], sampler_settings=plain), inner.sample([2], cache=EightBitCache)]
    between: list[torch.Tensor] = []

    def run_another(step: object) -> None:
        between.append(inner.sample([2], cache=EightBitCache).tokens)

    around = outer.sample([1], sampler_settings=plain, on_step=run_another)
    assert all(map(torch.equal, around.tokens, alone[0].tokens))
    assert len(between) > 2 and all(torch.equal(one, alone[1].tokens) for one in between)


def test_a_model_without_a_cache_says_so() -> None:
    with pytest.raises(ValueError, match="keeps no keys and values .* set cache of AR Sampler"):
        tiny_switti().sample([1], sampler_settings=SamplerSettings(eight_bit_cache=True))
