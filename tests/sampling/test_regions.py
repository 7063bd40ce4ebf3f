"""Shares of regions: areas, overlaps, what is left for the background, and when."""

import pytest
import torch
from ar_guidance.guidance.base import RunInfo
from ar_guidance.sampling.regions import Layer, Region

SCALES = RunInfo("scale", ((1, 1), (2, 2), (4, 4)))
TOKENS = RunInfo("token", ((1, 1),) * 18)


def left(part: float, side: int = 16) -> torch.Tensor:
    mask = torch.zeros(1, side, side)
    mask[:, :, : int(part * side)] = 1
    return mask


def test_a_token_has_the_share_of_its_area_that_the_mask_marks() -> None:
    shares = Layer((Region(left(0.25)),)).over_run(SCALES, None)[1]
    rows = [part.tolist() for part in shares[0].split([1, 4, 16])]
    assert rows[0] == [0.25] and rows[1] == [0.5, 0.0] * 2 and rows[2] == [1.0, 0.0, 0.0, 0.0] * 4


def test_masks_smaller_than_the_grid_and_of_any_shape() -> None:
    mask = torch.tensor([[[1.0, 0.0, 0.0]]])
    assert torch.allclose(Region(mask).on((1, 4)), torch.tensor([[1, 1 / 3, 0, 0]]), atol=0.35)
    assert torch.equal(Region(torch.ones(1, 2, 3)).on((4, 4)), torch.ones(1, 16))


def test_shares_add_up_to_one_and_overlaps_are_shared() -> None:
    layer = Layer((Region(left(0.75)), Region(1 - left(0.5), weight=3.0)))
    shares = layer.shares((4, 4), (True, True))
    assert torch.allclose(shares.sum(0), torch.ones(1, 16))
    assert shares[:, 0, :4].T.tolist() == [[0, 1, 0], [0, 1, 0], [0, 0.25, 0.75], [0, 0, 1]]


def test_the_background_has_what_is_left() -> None:
    shares = Layer((Region(left(0.5), weight=0.6),)).shares((2, 2), (True,))
    assert torch.allclose(shares[0, 0], torch.tensor([0.4, 1.0] * 2))


def test_complements_leave_nothing_to_rounding() -> None:
    soft = torch.rand(1, 37, 41, generator=torch.Generator().manual_seed(0))
    shares = Layer((Region(soft), Region(1 - soft))).over_run(SCALES, None)
    assert not shares[0].any()


def test_start_and_end_count_as_those_of_guidances() -> None:
    layer = Layer((Region(start=0.5, end=1.0), Region(end=0.5)))
    assert [layer.acting(k, 3) for k in range(3)] == [(False, True), (True, True), (True, False)]
    assert layer.over_run(SCALES, None)[1, 0].split([1, 4, 16])[0].tolist() == [0.0]


def test_token_wise_positions_in_reading_order_behind_tokens_without_a_place() -> None:
    shares = Layer((Region(left(0.25), start=0.5),)).over_run(TOKENS, (4, 4))[1, 0]
    assert shares.tolist() == [0.0] * 9 + [0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    always = Layer((Region(left(0.25)),)).over_run(TOKENS, (4, 4))[1, 0]
    assert always.tolist() == [0.25, 0.25] + [1.0, 0.0, 0.0, 0.0] * 4


def test_a_start_behind_the_end_is_refused() -> None:
    with pytest.raises(ValueError, match="start"):
        Region(start=0.6, end=0.5)
