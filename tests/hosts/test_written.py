"""Choices by seed, lists of images by seed and number, and what a saved image says of them, in real hosts."""

from __future__ import annotations

import io
import json

import numpy as np
from ar_guidance.tests.hosts.graphs import generate, node
from ar_guidance.tests.hosts.running import RunningHost
from ar_guidance.tests.hosts.test_nodes import images, refusal
from PIL import Image

UNUSED = {"reroll": "", "reroll_seed": 0, "only_rerolled": False}


def test_choices_are_made_by_the_seed(host: RunningHost) -> None:
    alone = {name: images(host, generate(classes=name, seed=3)) for name in ("12", "40")}
    seen = set()
    for seed in range(6):
        prompt = generate(classes="{12|40} // one of both", seed=3)
        prompt["condition"]["inputs"]["wildcard_seed"] = seed
        made = images(host, prompt)
        seen |= {name for name, image in alone.items() if np.array_equal(image, made)}
    assert seen == {"12", "40"}
    assert "without its" in refusal(host, generate(classes="{12|40"))


def test_one_image_of_a_batch_is_made_again_by_seed_and_number(host: RunningHost) -> None:
    batch = generate(classes="12, 40", seed=7, batch_size=3)
    batch["decode"]["inputs"]["images_at_once"] = 1
    all_six = images(host, batch)
    one = generate(classes="40", seed=99)
    one["seeds"] = node("ARSeeds", ar_sampling=["sampler", 0], seeds="7:5", **UNUSED)
    one["cfg"]["inputs"]["ar_sampling"] = ["seeds", 0]
    assert np.array_equal(images(host, one)[0], all_six[4])
    one["seeds"]["inputs"]["seeds"] = "7:0"
    assert "the third image of seed 7" in refusal(host, one)


def test_a_saved_image_says_how_it_is_made_again(host: RunningHost) -> None:
    prompt = generate(classes="{12|40}", seed=7, batch_size=2)
    result = host.run(prompt, workflow={"nodes": []})
    assert (result.status, result.error) == ("success", "")
    saved = Image.open(io.BytesIO(host.client.image(result.images[0])))
    said = json.loads(saved.info["ar_guidance"])["decode"]
    assert said["images"] == ["7:1", "7:2"]
    assert len(said["condition"]) == 1 and "{" not in said["condition"][0]
