"""Names of classes come from strangers' files: a list of texts is taken, anything else counts as none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ar_guidance.loaders.class_names import class_labels
from ar_guidance.loaders.detect import Part, find_part
from ar_guidance.loaders.read import read_weights
from ar_guidance.tests.tiny import tiny_var
from safetensors.torch import save_file

NETWORK = tiny_var().network
CLASSES = NETWORK.config.classes


def part(folder: Path, **metadata: str) -> Part:
    tensors = {key: value.contiguous() for key, value in NETWORK.state_dict().items()}
    save_file(tensors, folder / "a.safetensors", metadata)
    return find_part(read_weights(folder / "a.safetensors"), "transformer")


@pytest.mark.parametrize(
    "labels",
    [
        "",
        "null",
        "3",
        '"cat"',
        "{",
        "[" * 100_000,
        json.dumps({str(n): "x" for n in range(CLASSES)}),
        json.dumps([None] * CLASSES),
        json.dumps(list(range(CLASSES))),
        json.dumps([["x"]] * CLASSES),
        json.dumps(["x"] * (CLASSES + 1)),
        "[NaN]",
    ],
)
def test_what_is_no_list_of_names_is_none(tmp_path: Path, labels: str) -> None:
    assert class_labels(part(tmp_path, labels=labels, label_set="Mine")) == ((), "")


def test_names_are_one_short_line_each(tmp_path: Path) -> None:
    names = [f"<b>class\n{n}</b>" + "x" * 1000 for n in range(CLASSES)]
    labels, label_set = class_labels(
        part(tmp_path, labels=json.dumps(names), label_set="long " * 100)
    )
    assert len(labels) == CLASSES and labels[0].startswith("<b>class 0</b>x")
    assert all(len(name) <= 200 and "\n" not in name for name in labels) and len(label_set) <= 40
