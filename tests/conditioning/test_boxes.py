"""Bounding boxes as masks: the forms they come in, which are taken, and what is refused."""

import pytest
import torch
from ar_guidance.conditioning.boxes import box_masks, boxes_of


def box(x: float, y: float, width: float, height: float) -> dict:
    return {"x": x, "y": y, "width": width, "height": height}


FIRST, SECOND = box(0, 0, 2, 1), {**box(2, 1, 5, 5), "metadata": {"type": "obj"}, "score": 0.9}


def rows(given: object, number: int = 0) -> list:
    return box_masks(boxes_of(given), (2, 4), number).tolist()


def test_one_box_and_several() -> None:
    top, right = [[1, 1, 0, 0], [0, 0, 0, 0]], [[0, 0, 0, 0], [0, 0, 1, 1]]
    both = [[1, 1, 0, 0], [0, 0, 1, 1]]
    assert rows(FIRST) == rows([FIRST]) == rows([[FIRST]]) == [top]
    assert rows([FIRST, SECOND]) == [both]
    assert rows([FIRST, SECOND], 1) == [top] and rows([FIRST, SECOND], 2) == [right]


def test_images_have_boxes_of_their_own() -> None:
    masks = rows([[FIRST, SECOND], [], [FIRST]], 2)
    assert [sum(map(sum, mask)) for mask in masks] == [2, 0, 0]


def test_pixels_that_a_box_cuts_have_their_share_of_it() -> None:
    mask = box_masks(boxes_of(box(0.5, 0, 1.25, 1)), (1, 3))
    assert torch.allclose(mask, torch.tensor([[[0.5, 0.75, 0.0]]]))


def test_boxes_beside_the_image_are_left_out_if_others_are_in_it() -> None:
    assert rows([FIRST, box(40, 40, 5, 5)]) == rows(FIRST)


@pytest.mark.parametrize(
    "given, number, words",
    [
        ([], 0, "there is no box"),
        ([[], []], 0, "there is no box"),
        ([FIRST], 2, "box 2 is asked for, but there are 1"),
        (box(4, 0, 2, 2), 0, "outside the image of 4x2 pixels"),
        (box(0, 0, 0, 2), 0, "above 0"),
        ({"x": 0, "y": 0, "width": 10**400, "height": 1}, 0, "above 0"),
        (box(float("nan"), 0, 1, 1), 0, "above 0"),
        ([FIRST, 3], 0, "no boxes arrive"),
        ([[FIRST], [[FIRST]]], 0, "above 0"),
        ("[0, 0, 1, 1]", 0, "no boxes arrive"),
        (torch.zeros(1, 4), 0, "no boxes arrive"),
    ],
)
def test_what_is_refused(given: object, number: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        rows(given, number)
