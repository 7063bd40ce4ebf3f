"""Comparisons: what runs and images are called, and where they go on the sheet."""

import base64
import io

import torch
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.registry import METHODS
from ar_guidance.imaging.comparison import (
    MOST,
    chain_label,
    comparison_payload,
    comparison_sheet,
    row_labels,
    told_apart,
)
from ar_guidance.imaging.filmstrip import Maker
from PIL import Image


def test_a_chain_is_called_by_its_guidances() -> None:
    ssg = METHODS["ssg"]
    assert chain_label(()) == "no guidance"
    assert chain_label((CFG(4.0), ssg(1.2))) == "CFG 4 + SSG 1.2"
    for method in METHODS.values():  # every method has a name and a strength
        assert chain_label((method(),)).split()[-1][-1].isdigit()


def test_runs_of_one_name_are_told_apart_by_what_differs() -> None:
    settings = [{"scale": "4", "end": "1"}, {"scale": "4", "end": "0.5"}, {"scale": "3"}]
    names = told_apart(["CFG 4", "CFG 4", "IGG 3"], settings)
    assert names == ["CFG 4, end 1", "CFG 4, end 0.5", "IGG 3"]
    assert told_apart(["x", "x"], [{}, {}]) == ["x (1)", "x (2)"]


def test_images_are_called_by_class_and_seed() -> None:
    makers = [Maker(0, 7, 0, "face"), Maker(1, 7, 1, "face"), Maker(2, 7, 2, "heart")]
    expected = ["face, seed 7, image 1", "face, seed 7, image 2", "heart, seed 7", "image 4"]
    assert row_labels(makers, 4) == expected
    assert row_labels((), 2) == ["image 1", "image 2"]
    assert row_labels(makers, 1) == ["face, seed 7"]


def test_a_shorter_run_leaves_places_empty() -> None:
    runs = [torch.zeros(2, 8, 8, 3), torch.ones(1, 16, 16, 3)]
    sheet = comparison_sheet(runs, ["a\nb", "c"], ["one", "two"], "title")
    assert sheet.columns == ["a b", "c"]
    assert [[cell and cell.size for cell in row] for row in sheet.cells] == [
        [(8, 8), (16, 16)],
        [(8, 8), None],
    ]


def test_the_browser_gets_the_first_images_of_every_run() -> None:
    rows = [f"image {at}" for at in range(40)]
    runs = [torch.rand(40, 8, 8, 3), torch.rand(1, 700, 350, 3)]
    sent = comparison_payload(runs, ["a", "b"], rows)
    assert sent["columns"] == ["a", "b"]
    assert sent["rows"] == rows[: MOST // 2] and sent["left_out"] == 8
    images = sent["images"]
    assert isinstance(images, list) and [len(own) for own in images] == [32, 1]
    assert images[0][0].startswith("data:image/png")  # small images keep every pixel
    picture = Image.open(io.BytesIO(base64.b64decode(images[1][0].split(",")[1])))
    assert picture.size == (256, 512)
