"""A sweep in real hosts: a labelled sheet, and values that cannot be swept."""

from __future__ import annotations

import numpy as np
from ar_guidance.tests.hosts.graphs import generate, node
from ar_guidance.tests.hosts.running import RunningHost
from ar_guidance.tests.hosts.test_nodes import (  # noqa: F401
    GOLDEN,
    TOKENIZER,
    TRANSFORMER,
    golden,
    images,
    refusal,
    same_image,
)
from ar_guidance.tests.hosts.test_tokens import llamagen  # noqa: F401


def test_a_sweep_becomes_a_labelled_table(host: RunningHost) -> None:
    prompt = generate(seed=4)
    prompt["sweep"] = node(
        "ARSweep",
        first_values="1, 3, 6",
        second_values="4, 5",
        first_name="scale",
        second_name="seed",
    )
    prompt["cfg"]["inputs"]["scale"] = ["sweep", 0]
    prompt["sampler"]["inputs"]["seed"] = ["sweep", 4]
    prompt["grid"] = node(
        "ARGrid", images=["decode", 0], labels=["sweep", 6], columns=0, title="Scale and seed"
    )
    prompt["save"]["inputs"]["images"] = ["grid", 0]
    by_label = images(host, prompt)
    assert by_label.shape[0] == 1
    del prompt["grid"]["inputs"]["labels"]
    prompt["grid"]["inputs"]["ar_sampling"] = ["cfg", 0]
    by_settings = images(host, prompt)
    assert by_settings.shape[0] == 1
    one = images(host, generate(seed=5, scale=6.0))[0]
    enlarged = one.repeat(3, axis=0).repeat(3, axis=1)
    assert found(by_label[0], enlarged) and found(by_settings[0], enlarged)


def found(sheet: np.ndarray, image: np.ndarray) -> bool:
    """Whether an image stands somewhere on a sheet, pixel by pixel (8 bits each)."""
    height, width = image.shape[:2]
    corner = np.abs(sheet - image[0, 0]).max(-1) < 1 / 255
    rows, columns = np.nonzero(corner[: 1 - height, : 1 - width])
    return any(
        np.abs(sheet[y : y + height, x : x + width] - image).max() < 1.5 / 255
        for y, x in zip(rows, columns, strict=True)
    )


def test_a_sweep_of_nothing_and_of_words(host: RunningHost) -> None:
    prompt = generate(seed=4)
    sweep = {"second_values": "", "first_name": "class", "second_name": ""}
    prompt["sweep"] = node("ARSweep", first_values="", **sweep)
    prompt["condition"]["inputs"]["classes"] = ["sweep", 2]
    assert "first_values is empty" in refusal(host, prompt)
    prompt["sweep"] = node("ARSweep", first_values="3\n9", **sweep)
    assert np.array_equal(images(host, prompt)[0], images(host, generate(seed=4, classes="3"))[0])
    prompt["sampler"]["inputs"]["temperature"] = ["sweep", 0]
    prompt["sweep"]["inputs"]["first_values"] = "warm"
    prompt["condition"]["inputs"]["classes"] = "3"
    assert "is not a number" in host.run(prompt).error
