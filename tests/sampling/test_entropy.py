"""Entropy-aware temperature: the authors' code written out in float64, and the laws of what it changes."""

import math
from dataclasses import replace

import pytest
import torch
from ar_guidance.models.vq_diffusion.families import FAMILY_CLASS
from ar_guidance.sampling.draw import AddressedSampler, Filters, Streams
from ar_guidance.sampling.entropy import EntropyTemperature
from ar_guidance.sampling.plan import SamplerSettings, plan
from ar_guidance.tests.tiny import TinyModel, tiny_hart, tiny_infinity, tiny_var
from ar_guidance.tests.tiny_tokens import tiny_llamagen
from ar_guidance.tests.tiny_vq_diffusion import config, network
from torch import Tensor

PUBLISHED = EntropyTemperature()
NONE = EntropyTemperature(rise=0.0, floor=1.0)


def predictions() -> Tensor:
    """(2, 5, 40), from nearly sure to nearly undecided."""
    spread = torch.tensor([8.0, 4.0, 2.0, 1.0, 0.1])[:, None]
    return torch.randn(2, 5, 40, generator=torch.Generator().manual_seed(0)) * spread


def released(logits: Tensor, temperature: float, top_k: int) -> Tensor:
    """Probabilities: top-k, then the entropy of what is left, then the temperature."""
    logits = logits.double()
    kept = logits.masked_fill(logits < logits.topk(top_k).values[..., -1:], -math.inf)
    p = kept.softmax(-1)
    nats = -(p * (p + 1e-12).log()).sum(-1, keepdim=True)
    return (kept / (temperature * (2.5 * torch.exp(-nats / 3) + 0.6))).softmax(-1)


@pytest.mark.parametrize("top_k", [7, 40])
def test_it_is_the_authors_code(top_k: int) -> None:
    made = Filters(1.4, top_k, by_entropy=PUBLISHED).apply(predictions()).double().softmax(-1)
    assert torch.allclose(made, released(predictions(), 1.4, top_k), atol=1e-5)


@pytest.mark.parametrize("filters", [Filters(), Filters(0.7, 9), Filters(1.3, 0, 0.8, 0.05)])
def test_without_rise_and_with_floor_1_it_is_as_if_absent(filters: Filters) -> None:
    made = replace(filters, by_entropy=NONE).apply(predictions())
    assert torch.equal(made, filters.apply(predictions()))


def test_sure_tokens_are_drawn_more_freely_and_undecided_ones_more_safely() -> None:
    factor = PUBLISHED.factor(predictions())[..., 0].mean(0)
    assert (factor[:-1] > factor[1:]).all()
    assert factor[0] > 1.5 and (factor > PUBLISHED.floor).all()
    assert torch.allclose(PUBLISHED.factor(torch.tensor([0.0, -math.inf])), torch.tensor([3.1]))


def test_a_constant_on_all_logits_changes_nothing_and_inputs_are_read_only() -> None:
    filters, logits = Filters(1.4, by_entropy=PUBLISHED), predictions()
    moved = filters.apply(logits + 3).softmax(-1)
    assert torch.allclose(moved, filters.apply(logits).softmax(-1), atol=1e-5)
    assert torch.equal(logits, predictions())


def test_several_tokens_read_in_one_pass_are_drawn_as_one_by_one() -> None:
    draw = AddressedSampler(Filters(1.4, by_entropy=PUBLISHED), Streams(1, 2))
    one_by_one = [draw(predictions()[:, [k]], k) for k in range(5)]
    assert torch.equal(draw(predictions()), torch.cat(one_by_one, dim=1))


def test_at_temperature_0_nothing_changes() -> None:
    draw = AddressedSampler(Filters(0.0, by_entropy=PUBLISHED), Streams(1, 2))
    assert torch.equal(draw(predictions()), predictions().argmax(-1))


@pytest.mark.parametrize("bad", [{"rise": -1}, {"decay": 0}, {"floor": 0}, {"rise": math.nan}])
def test_numbers_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        EntropyTemperature(**bad)


def planned(model: TinyModel, **settings: object) -> Filters:
    chosen = SamplerSettings(by_entropy=PUBLISHED, **settings)  # pyright: ignore[reportArgumentType]
    conditions = model.condition([1]), None
    return plan(model, conditions, 1, (), chosen, Streams(0, 1)).draw.filters  # pyright: ignore


def test_runs_that_draw_tokens_take_it() -> None:
    assert planned(tiny_var(), smooth=False).by_entropy == PUBLISHED
    assert planned(tiny_llamagen(), temperature=1.4) == replace(
        planned(tiny_llamagen()), temperature=1.4
    )


def test_runs_it_has_no_numbers_for_refuse_it_in_words() -> None:
    with pytest.raises(ValueError, match="whose tokens are bits"):
        planned(tiny_infinity())
    with pytest.raises(ValueError, match="set smooth of AR Sampler to 'off'"):
        planned(tiny_hart())
    with pytest.raises(ValueError, match="draws every place again"):
        planned(TinyModel(network(config()), None, family=FAMILY_CLASS))
