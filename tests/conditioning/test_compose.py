"""Compositions: which layer a part comes into, what is refused, and which images have which mask."""

import pytest
import torch
from ar_guidance.conditioning.classes import ClassConditioning
from ar_guidance.conditioning.compose import (
    MOST,
    Composition,
    add_region,
    blend,
    checked_mask,
    leaves_of,
    most_branches,
    softened,
)
from ar_guidance.conditioning.text import TextConditioning
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.chain import Chain
from ar_guidance.sampling.mixture import resolve
from ar_guidance.sampling.regions import Region
from ar_guidance.tests.tiny import tiny_var

RUN = RunInfo("scale", ((1, 1), (2, 2)))
MODEL = tiny_var()
MODEL.tokenizer = MODEL.codec
LEFT = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])


def classes(*labels: int) -> ClassConditioning:
    return ClassConditioning(labels, 5, tuple(f"class {label}" for label in labels))


def shares(condition: Composition, copies: int = 1) -> dict[tuple[int, ...], list[float]]:
    """Labels -> what they have of the tokens of the first image: the whole, then four quarters."""
    mixture = condition.branches(MODEL, copies)[0]
    _, mixing = resolve((mixture, mixture), RUN, Chain(), None)
    assert mixing is not None
    return {
        tuple(branch.condition.tolist()): [round(x, 4) for x in branch.share[0].tolist()]
        for branch in mixing.branches
    }


def test_regions_lie_side_by_side_and_a_blend_under_a_region() -> None:
    both = add_region(
        add_region(classes(0), classes(1), Region(LEFT)), classes(2), Region(1 - LEFT)
    )
    assert shares(both) == {(1,): [0.5, 1, 0, 1, 0], (2,): [0.5, 0, 1, 0, 1]}
    over = add_region(blend(classes(0), classes(1), Region(weight=0.5)), classes(2), Region(LEFT))
    assert shares(over)[(1,)] == [0.25, 0, 0.5, 0, 0.5] and shares(over)[(2,)][1] == 1


def test_blends_follow_one_another() -> None:
    three = blend(blend(classes(0), classes(1), Region(weight=0.5)), classes(2), Region(weight=0.5))
    assert {label: share[0] for (label,), share in shares(three).items()} == {
        0: 0.25,
        1: 0.25,
        2: 0.5,
    }


def test_a_composition_may_be_a_region_of_another() -> None:
    inner = blend(classes(1), classes(2), Region(weight=0.25))
    assert shares(add_region(classes(0), inner, Region(LEFT)))[(2,)] == [0.125, 0.25, 0, 0.25, 0]


def test_one_entry_serves_all_images_and_masks_are_one_each() -> None:
    masks = torch.cat((LEFT, 1 - LEFT))
    made = add_region(classes(0, 3), classes(1), Region(masks))
    assert made.count == 2 and made.entry(1).count == 1
    assert shares(made.entry(1))[(1,)] == [0.5, 0, 1, 0, 1]
    mixture = made.branches(MODEL, 2)[0]
    assert [condition.tolist() for condition in mixture.conditions] == [[0, 0, 3, 3], [1] * 4]
    _, mixing = resolve((mixture, mixture), RUN, Chain(), None)
    assert mixing is not None
    assert mixing.branches[1].share[:, 1].tolist() == [1, 1, 0, 0]
    assert add_region(classes(0), classes(1), Region(masks)).count == 2


def test_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="for 2 and 3 images"):
        add_region(classes(0, 1), classes(1, 2, 3), Region(LEFT))


def test_conditions_of_different_models_are_refused() -> None:
    with pytest.raises(ValueError, match="AR Class Condition.*AR Text Condition"):
        blend(classes(0), TextConditioning(()), Region())
    with pytest.raises(ValueError, match="5 and 7 classes"):
        blend(classes(0), ClassConditioning((1,), 7, ("x",)), Region())


def test_the_thirty_third_condition_is_refused() -> None:
    made: Composition | ClassConditioning = classes(0)
    for label in range(1, MOST):
        made = add_region(made, classes(label % 5), Region(LEFT))
    with pytest.raises(ValueError, match="33 conditions"):
        add_region(made, classes(1), Region(LEFT))


def test_every_condition_is_checked_against_the_model() -> None:
    model = tiny_var()
    one, other = classes(0), classes(1)
    both = blend(one, add_region(other, one, Region(LEFT)), Region())
    assert list(leaves_of(both)) == [one, other, one]
    setattr(model, "name", "tiny")  # noqa: B010
    both.check(model)
    foreign = ClassConditioning((0,), 4, ("a",))
    with pytest.raises(ValueError, match="4 classes"):
        blend(foreign, foreign, Region()).check(model)


def test_branches_are_counted_beforehand() -> None:
    assert most_branches(add_region(classes(0), classes(1), Region(LEFT))) == 3


def test_empty_masks_are_refused_by_number() -> None:
    with pytest.raises(ValueError, match="the mask is empty"):
        checked_mask(torch.zeros(1, 4, 4))
    with pytest.raises(ValueError, match="mask 2 is empty"):
        checked_mask(torch.cat((LEFT, LEFT * 0)))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_masks_of_what_is_no_number_are_refused(bad: float) -> None:
    mask = LEFT.clone()
    mask[0, 0, 0] = bad
    with pytest.raises(ValueError, match="values that are not numbers"):
        checked_mask(mask)


@pytest.mark.parametrize("width", [0, 1, 4, 9, 40])
def test_a_soft_edge_is_centred_and_complements_stay_complements(width: int) -> None:
    mask = torch.zeros(1, 16, 24)
    mask[:, :, :12] = 1
    soft = softened(mask, width)
    assert torch.allclose(soft + softened(1 - mask, width), torch.ones(1, 16, 24), atol=1e-6)
    assert bool((soft.diff(dim=-1) <= 1e-6).all()) and soft[0, 0, 11] >= 0.5 >= soft[0, 0, 12]
    if width == 0:
        assert torch.equal(soft, mask)
    else:
        faded = ((soft > 0.001) & (soft < 0.999))[0, 0].sum()
        assert 0.5 * min(width, 12) <= faded <= width + 4


def test_a_composition_says_what_it_is() -> None:
    assert (
        repr(blend(classes(0), classes(1), Region()))
        == "AR conditioning: class 0, blended with class 1"
    )
