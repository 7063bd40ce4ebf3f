"""What ComfyUI's own nodes put into a CONDITIONING, as regions."""

from typing import Any

import pytest
import torch
from ar_guidance.conditioning.compose import Against, Composition
from ar_guidance.conditioning.stock import text_condition
from ar_guidance.conditioning.text import TextConditioning
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.models import var_clip
from ar_guidance.sampling.mixture import Mixing, resolve
from ar_guidance.tests.tiny import tiny_switti, tiny_var_clip

RUN = RunInfo("scale", ((1, 1), (2, 2)))
LEFT = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
WHOLE = {"start_percent": 0.0, "end_percent": 1.0}


def model(**changes: Any) -> Any:
    made = tiny_var_clip()
    made.tokenizer = made.codec
    for name, value in ({"name": "tiny", "family": var_clip.FAMILY} | changes).items():
        setattr(made, name, value)
    return made


def entry(number: float, **options: Any) -> list[Any]:
    """An entry of a CONDITIONING whose one row of features is this number everywhere."""
    given = {"pooled_output": None, "ar_text_encoder": "clip_l"} | options
    return [torch.full((1, 1, 8), number), given]


def mixing(positive: list[Any], negative: list[Any] | None = None) -> Mixing:
    condition = text_condition(positive, negative)
    both = condition.branches(model(), 1)
    found = resolve(both, RUN, Chain((CFG(2.0, "constant"),)), None)[1]
    assert found is not None
    return found


def shares(made: Mixing, conditional: bool = True) -> list[list[float]]:
    """Of every branch of a kind: of the whole image, then of its quarters."""
    return [
        [round(x, 4) for x in branch.share[0].tolist()]
        for branch in made.branches
        if branch.conditional == conditional
    ]


@pytest.mark.parametrize("options", [{}, WHOLE, {"strength": 1.0}, {"mask": None, "area": None}])
def test_what_changes_nothing_passes(options: dict[str, Any]) -> None:
    made = text_condition([entry(1, **options), entry(2)], [entry(3, **options)])
    assert isinstance(made, TextConditioning) and made.count == 2


def test_a_masked_prompt_is_a_region_over_one_without() -> None:
    made = mixing([entry(1), entry(-2, mask=LEFT)])
    assert len(made.branches) == 3
    assert sorted(shares(made)) == [[0.5, 0, 1, 0, 1], [0.5, 1, 0, 1, 0]]


@pytest.mark.parametrize(
    ("options", "share"),
    [
        ({"mask": LEFT, "mask_strength": 0.5}, [0.25, 0.5, 0, 0.5, 0]),
        ({"mask": LEFT[0], "strength": 0.5, "mask_strength": 0.5}, [0.125, 0.25, 0, 0.25, 0]),
        ({"area": (4, 8, 0, 0), "strength": 1.0}, [0.5, 1, 1, 0, 0]),
        ({"area": ("percentage", 1.0, 0.5, 0.0, 0.5)}, [0.5, 0, 1, 0, 1]),
        ({"area": ("percentage", 0.5, 1.0, 0.0, 0.0), "mask": LEFT}, [0.25, 1, 0, 0, 0]),
        ({"strength": 0.25}, [0.25] * 5),
        ({"start_percent": 0.5, "end_percent": 1.0}, [0, 1, 1, 1, 1]),
        ({"start_percent": 0.0, "end_percent": 0.5}, [1, 0, 0, 0, 0]),
    ],
)
def test_areas_strengths_and_times(options: dict[str, Any], share: list[float]) -> None:
    given = text_condition([entry(1), entry(2, **options)], None)
    assert isinstance(given, Composition)
    cond, _ = given.branches(big(), 1)
    assert [len(path) for path in cond.paths] == [1, 1]
    layer = cond.paths[1][0][0]
    assert layer.over_run(RUN, None)[1, 0].tolist() == pytest.approx(share)


def big() -> Any:
    """A model of images of 64 x 64 pixels, so that Set Area's 8 pixels are an eighth."""
    made = model()

    class Codec:
        class config:  # noqa: N801
            factor = 16

    made.tokenizer = Codec
    return made


def test_without_a_background_all_share_what_none_covers() -> None:
    given = text_condition([entry(1, mask=LEFT), entry(-2, mask=LEFT)], None)
    cond, _ = given.branches(model(), 1)
    found = resolve((cond, cond.conditions[0]), RUN, Chain(), None)[1]
    assert found is not None
    assert [b.share[0].tolist() for b in found.branches] == [[0.5] * 5] * 2


def test_negatives_have_regions_of_their_own() -> None:
    given = text_condition([entry(1)], [entry(-1), entry(2, mask=LEFT)])
    assert isinstance(given, Against) and given.count == 1
    made = mixing([entry(1)], [entry(-1), entry(2, mask=LEFT)])
    assert len(shares(made)) == 1 and sorted(shares(made, False)) == [
        [0.5, 0, 1, 0, 1],
        [0.5, 1, 0, 1, 0],
    ]


def test_a_negative_that_is_composed_counts_as_a_negative() -> None:
    """Switti has learnt no "no prompt"."""
    from ar_guidance.models.switti.network import FAMILY

    made = tiny_switti()
    setattr(made, "name", "tiny")  # noqa: B010
    assert FAMILY.null == "prompt"
    features = torch.randn(1, 77, 8)
    options = {
        "pooled_output": torch.randn(1, 5),
        "attention_mask": torch.ones(1, 77),
        "ar_text_encoder": FAMILY.text.encoder.name,  # pyright: ignore[reportOptionalMemberAccess]
    }
    text_condition([[features, options]], [[features, options | {"mask": LEFT}]]).check(made)
    with pytest.raises(ValueError, match="needs the negative input"):
        text_condition([[features, options | {"mask": LEFT}]], None).check(made)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask": LEFT * 0}, "positive: the mask is empty"),
        ({"mask": LEFT * float("nan")}, "positive: the mask of a prompt is not a mask"),
        ({"strength": -1.0}, "use 0 or more"),
        ({"start_percent": 0.8, "end_percent": 0.2}, "positive: start 0.8 and end 0.2"),
        ({"area": ("percentage", 1.0, 1.0, 1.0, 0.0, 0.0, 0.0)}, "for videos"),
        ({"control": 1}, "Remove Apply ControlNet"),
    ],
)
def test_what_cannot_be_done_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        text_condition([entry(1), entry(2, **options)], None)


def test_an_area_outside_the_image_is_refused_before_the_run() -> None:
    given = text_condition([entry(1), entry(2, area=(8, 8, 20, 0))], None)
    with pytest.raises(ValueError, match="outside the image, which has 64x64"):
        given.branches(big(), 1)


def test_several_negatives_of_one_image_are_refused() -> None:
    with pytest.raises(ValueError, match="2 prompts for one composed image"):
        text_condition([entry(1, mask=LEFT)], [entry(2), entry(3)])
