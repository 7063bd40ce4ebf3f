"""Laws of keeping tokens, over every family: what is kept stays, what is not kept is drawn as ever."""

from dataclasses import replace

import pytest
import torch
from ar_guidance.guidance.cfg import CFG
from ar_guidance.sampling.edit import (
    KeptSequence,
    KeptTokens,
    keep_first,
    keep_outside,
    repainted_cells,
    scale_mask,
)
from ar_guidance.sampling.pixels import filled, soft_edge
from ar_guidance.tests.tiny import FAMILIES, TinyModel
from ar_guidance.tests.tiny_tokens import TOKEN_FAMILIES, TinyTokens
from hypothesis import given, settings
from hypothesis import strategies as st

LINKS = (CFG(3.0),)


@pytest.fixture(params=sorted(FAMILIES))
def model(request) -> TinyModel:
    return FAMILIES[request.param]()


@pytest.fixture(params=sorted(TOKEN_FAMILIES))
def line(request) -> TinyTokens:
    return TOKEN_FAMILIES[request.param]()


def kept(model: TinyModel, keep: torch.Tensor, seed: int = 5, **options) -> KeptTokens:
    """The tokens of a run with another class, kept where a mask at the last grid is 1."""
    source = model.sample([3], seed=seed)
    features = source.features if hasattr(model.network, "residual") else None
    masks = keep_outside(keep, model.run.grids)
    return KeptTokens(source.tokens, masks, features=features, **options)


def last_grid(model: TinyModel, value: float) -> torch.Tensor:
    return torch.full(model.run.grids[-1], value)


def everywhere(model: TinyModel, value: bool) -> list[torch.Tensor]:
    return [torch.full((1, *grid), value) for grid in model.run.grids]


def same(first, second) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.tokens, second.tokens, strict=True))


# --- scale-wise -------------------------------------------------------------------------------------------------------


def test_all_kept_is_the_image_itself(model) -> None:
    keep = kept(model, last_grid(model, 1.0))
    result = model.sample([2], LINKS, seed=77, kept=keep)
    given = model.sample([3], seed=5)
    assert same(result, given)
    assert torch.allclose(result.features, given.features, atol=1e-5)


def test_nothing_kept_is_a_run_without_an_edit(model) -> None:
    keep = kept(model, last_grid(model, 1.0))
    nothing = replace(keep, masks=everywhere(model, False), features=None)
    edited, plain = (model.sample([2], LINKS, seed=77, kept=k) for k in (nothing, None))
    assert same(edited, plain)
    assert torch.equal(edited.features, plain.features)


@settings(max_examples=15)
@given(data=st.data(), family=st.sampled_from(["var", "infinity", "switti"]))
def test_no_token_outside_the_mask_changes(data, family) -> None:
    model = FAMILIES[family]()
    height, width = model.run.grids[-1]
    cells = data.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    repaint = torch.tensor(cells).view(height, width)
    keep = kept(model, (~repaint).float())
    result = model.sample([2], LINKS, seed=data.draw(st.integers(0, 99)), kept=keep)
    for tokens, given_tokens, (h, w) in zip(
        result.tokens, keep.tokens, model.run.grids, strict=True
    ):
        changed = (
            (tokens != given_tokens).flatten(2).any(-1)
            if tokens.dim() > 2
            else tokens != given_tokens
        )
        for y, x in changed.view(h, w).nonzero().tolist():
            rows = slice(y * height // h, -(-(y + 1) * height // h))
            columns = slice(x * width // w, -(-(x + 1) * width // w))
            assert repaint[rows, columns].any(), "a token changed that no marked cell touches"


def test_the_feature_map_outside_is_the_given_one(model) -> None:
    keep = last_grid(model, 1.0)
    keep[-1] = 0
    edit = kept(model, keep, weights=keep[None])
    result = model.sample([2], LINKS, seed=77, kept=edit)
    given = model.sample([3], seed=5)
    unit = result.features.shape[-2] // keep.shape[0]  # feature rows of a row of tokens
    assert torch.allclose(result.features[:, :, :-unit], given.features[:, :, :-unit], atol=1e-5)
    assert not torch.allclose(result.features, given.features, atol=1e-2)


def test_half_weights_are_half_of_both(model) -> None:
    plain = kept(model, last_grid(model, 0.0))
    half = replace(plain, weights=last_grid(model, 0.5)[None])
    new, mixed = (
        model.sample([2], LINKS, seed=77, kept=k) for k in (replace(plain, features=None), half)
    )
    given = model.sample([3], seed=5).features
    assert same(new, mixed)
    assert torch.allclose(mixed.features, (new.features + given) / 2, atol=1e-5)


def test_image_i_of_an_edited_batch_is_image_i_alone(model) -> None:
    source = model.sample([3, 4], seed=5)
    keep = last_grid(model, 1.0)
    keep[:1] = 0
    masks = [m.expand(2, -1, -1) for m in keep_outside(keep, model.run.grids)]
    weights = torch.stack((keep, 0.5 * keep))
    whole = KeptTokens(source.tokens, masks, weights)
    together = model.sample([1, 2], LINKS, kept=whole)
    for i, label in enumerate([1, 2]):
        rows = slice(i, i + 1)
        own = KeptTokens([t[rows] for t in source.tokens], [m[rows] for m in masks], weights[rows])
        alone = model.sample([label], LINKS, first=i, kept=own)
        assert all(
            torch.equal(t[rows], a) for t, a in zip(together.tokens, alone.tokens, strict=True)
        )
        assert torch.allclose(together.features[rows], alone.features, atol=1e-5)


def test_the_first_scales_stay_and_the_rest_is_drawn(model) -> None:
    grids = model.run.grids
    source = model.sample([3], seed=5)
    uniforms = [torch.rand(1, *grid) for grid in grids]
    keep = KeptTokens(source.tokens, keep_first(2.0, grids, uniforms))
    result = model.sample([3], seed=6, kept=keep)
    equal = [torch.equal(a, b) for a, b in zip(result.tokens, source.tokens, strict=True)]
    assert equal[:2] == [True, True] and not all(equal)


@given(kept_scales=st.floats(0, 4), more=st.floats(0, 4), seed=st.integers(0, 9))
def test_keeping_more_never_gives_up_a_token(kept_scales, more, seed) -> None:
    grids = ((1, 1), (2, 2), (3, 3), (4, 5))
    generator = torch.Generator().manual_seed(seed)
    uniforms = [torch.rand(2, *grid, generator=generator) for grid in grids]
    few, many = (keep_first(k, grids, uniforms) for k in (kept_scales, kept_scales + more))
    assert all((b | ~a).all() for a, b in zip(few, many, strict=True))
    assert not any(m.any() for m in keep_first(0.0, grids, uniforms))
    assert all(m.all() for m in keep_first(4.0, grids, uniforms))


def test_the_coarsest_scale_is_always_kept() -> None:
    mask = torch.zeros(8, 8)
    assert scale_mask(mask, (1, 1)).eq(1).all()
    assert scale_mask(mask, (2, 2)).eq(0).all()


# --- token-wise -------------------------------------------------------------------------------------------------------


def test_kept_places_of_a_line_stay_and_the_rest_is_drawn(line) -> None:
    given = line.sample([3], seed=5).tokens
    places = torch.arange(given.shape[1]) % 3 == 0
    result = line.sample([2], LINKS, seed=77, kept=KeptSequence(given, places)).tokens
    assert torch.equal(result[:, places], given[:, places])
    assert not torch.equal(result, given)
    plain = line.sample([2], LINKS, seed=77).tokens
    nothing = KeptSequence(given, torch.zeros_like(places))
    assert torch.equal(line.sample([2], LINKS, seed=77, kept=nothing).tokens, plain)


# --- masks ------------------------------------------------------------------------------------------------------------


@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    soft=st.integers(0, 6),
    seed=st.integers(0, 99),
)
def test_a_soft_edge_lies_inside_the_mask(height, width, soft, seed) -> None:
    mask = (
        torch.rand(1, height, width, generator=torch.Generator().manual_seed(seed)) > 0.3
    ).float()
    edge = soft_edge(mask, soft)
    assert (edge[mask == 0] == 0).all() and (edge[mask == 1] > 0).all()
    assert (edge <= mask + 1e-6).all()
    assert torch.equal(soft_edge(torch.ones_like(mask), soft), torch.ones_like(mask))
    assert torch.equal(soft_edge(mask, 0), mask)


def test_a_soft_edge_rises_evenly() -> None:
    mask = torch.zeros(1, 1, 9)
    mask[..., 3:] = 1
    assert soft_edge(mask, 4)[0, 0].tolist() == [0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1]


@pytest.mark.parametrize("soft", [0, 4, 12, 64, 256])
def test_a_soft_edge_wider_than_the_mask_still_reaches_its_middle(soft) -> None:
    mask = torch.zeros(2, 64, 64)
    mask[0, 20:44, 20:44] = 1
    mask[1, :, 40:] = 0.5
    edge = soft_edge(mask, soft)
    assert edge[0].max() == 1 and edge[1].max() == 0.5
    assert (edge <= mask).all() and (edge[mask > 0] > 0).all()
    assert (edge[0, 31, 20:32].diff() >= 0).all()


@given(height=st.integers(2, 20), width=st.integers(2, 20), seed=st.integers(0, 99))
def test_what_is_made_up_comes_from_what_is_seen(height, width, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(2, 3, height, width, generator=generator)
    hidden = (torch.rand(1, height, width, generator=generator) > 0.4).float()
    hidden[0, 0, 0] = 0
    result = filled(images, hidden)
    seen = (hidden == 0).expand(2, -1, -1)
    assert torch.allclose(result.movedim(1, -1)[seen], images.movedim(1, -1)[seen])
    visible = images.movedim(1, -1)[seen]
    assert result.min() >= visible.min() - 1e-4 and result.max() <= visible.max() + 1e-4
    other = torch.where(hidden[:, None] > 0, torch.rand(images.shape), images)
    assert torch.allclose(filled(other, hidden), result, atol=1e-5)


@pytest.mark.parametrize("margin", [8, 13, 16, 24])
@pytest.mark.parametrize("side", [64, 100])
def test_what_is_made_up_goes_on_from_the_border(margin, side) -> None:
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    waves = [torch.sin(rows / 5), torch.cos(columns / 7), torch.sin((rows + columns) / 9)]
    image = torch.stack(waves)[None] * 0.5 + 0.5
    hidden, end = torch.ones(1, side, side), side - margin
    hidden[:, margin:end, margin:end] = 0
    result = filled(image, hidden)
    step = (result[..., margin, margin:end] - result[..., margin - 1, margin:end]).abs().mean()
    assert step <= 0.06  # of 1; the image's own steps are 0.02 to 0.05


@pytest.mark.parametrize("margin", [8, 13, 16, 24])
def test_a_white_border_goes_on_white_whatever_lies_inside_it(margin) -> None:
    image, end = torch.ones(1, 3, 64, 64), 64 - margin
    image[..., margin + 4 : end - 4, margin + 4 : end - 4] = 0
    hidden = torch.ones(1, 64, 64)
    hidden[:, margin:end, margin:end] = 0
    result = filled(image, hidden)
    assert result[..., margin - 1, margin:end].min() > 0.9
    assert result[..., :2, :].min() > 0.6 and result[..., 0, 0].min() > 0.8


def test_a_straight_ramp_goes_on_straight_across_a_hole() -> None:
    ramp = torch.linspace(0, 1, 40).expand(1, 1, 40, 40).contiguous()
    hidden = torch.zeros(1, 40, 40)
    hidden[:, 14:26, 14:26] = 1
    assert torch.allclose(filled(ramp, hidden), ramp, atol=0.03)


def test_a_cell_with_one_marked_pixel_is_repainted() -> None:
    mask = torch.zeros(1, 8, 12)
    mask[0, 3, 11] = 1
    cells = repainted_cells(mask, (2, 3))
    assert cells.sum() == 1 and cells[0, 0, 2]
