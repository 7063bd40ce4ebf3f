"""Seeds of a batch, and large batches that stop half-way, in real hosts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ar_guidance.tests.hosts.graphs import generate, node
from ar_guidance.tests.hosts.running import RunningHost, run_inside
from ar_guidance.tests.hosts.test_nodes import BUNDLED, images, refusal, same_image

Json = dict[str, Any]
PART, STEPS = 64, 7  # images the bundled model makes at once, and its scales
ROUNDED = 2  # of a few images: one in a hundred has another token when it is made in a batch of another size


def seeded(prompt: Json, **settings: Any) -> Json:
    """The prompt with AR Seeds between sampler and guidance."""
    defaults = {"seeds": "", "reroll": "", "reroll_seed": 0, "only_rerolled": False}
    prompt["seeds"] = node("ARSeeds", ar_sampling=["sampler", 0], **(defaults | settings))
    prompt["cfg"]["inputs"]["ar_sampling"] = ["seeds", 0]
    return prompt


def one_by_one(prompt: Json) -> Json:
    """The prompt with its images made one after the other: bit for bit what they are alone, on any processor."""
    decode = {**prompt["decode"], "inputs": {**prompt["decode"]["inputs"], "images_at_once": 1}}
    return {**prompt, "decode": decode}


def alike(some: np.ndarray, others: np.ndarray) -> int:
    """How many images are decoded from the same tokens."""
    return sum(same_image(a, b) for a, b in zip(some, others, strict=True))


@pytest.fixture(scope="module")
def made_by_hosts() -> dict[str, np.ndarray]:
    """The same images, by the version of the host that made them."""
    return {}


# --- seeds ------------------------------------------------------------------------------------------------------------


SEEDS = [(label, seed) for label in (3, 9) for seed in (5, 7, 9)]


def test_a_list_of_seeds_is_those_images_for_every_class(host: RunningHost) -> None:
    prompt = seeded(generate(classes="3, 9", seed=1), seeds="5, 7 9")
    alone = [images(host, generate(classes=str(c), seed=s))[0] for c, s in SEEDS]
    assert np.array_equal(images(host, one_by_one(prompt)), alone)


def test_images_made_together_are_those_alone_but_for_rounding(host: RunningHost) -> None:
    prompt = seeded(generate(classes="3, 9", seed=1), seeds="5, 7 9")
    together, alone = images(host, prompt), images(host, one_by_one(prompt))
    assert len(together) == len(SEEDS)
    assert alike(together, alone) >= len(SEEDS) - ROUNDED
    assert alike(together, alone[::-1]) == 0  # what another image's random numbers would give


def test_only_image_three_is_drawn_again(host: RunningHost) -> None:
    before = images(host, generate(seed=5, batch_size=4))
    again = seeded(generate(seed=5, batch_size=4), reroll="3", reroll_seed=99)
    after = images(host, again)
    same = [np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert same == [True, True, False, True]
    only = seeded(generate(seed=5, batch_size=4), reroll="3", reroll_seed=99, only_rerolled=True)
    assert np.array_equal(images(host, only), images(host, one_by_one(again))[2:3])


def test_what_ran_before_changes_nothing(host: RunningHost, made_by_hosts) -> None:
    first = images(host, generate(seed=41, batch_size=3))
    host.run_and_cancel(generate(seed=42, batch_size=PART), "decode", after=2)
    images(host, generate("bundled: emoji 64x64, token by token", seed=43))
    again = seeded(generate(seed=41, batch_size=3))  # another graph, so it is made again
    assert np.array_equal(images(host, again), first)
    made_by_hosts[host.version] = first
    for version, others in made_by_hosts.items():
        assert np.array_equal(first, others), (host.version, version)


def test_bad_seeds_and_image_numbers(host: RunningHost) -> None:
    assert "'x' is not a seed" in refusal(host, seeded(generate(), seeds="5, x"))
    message = refusal(host, seeded(generate(batch_size=4), reroll="5"))
    assert "'5' is not an image of this batch" in message and "1 to 4" in message
    assert "reroll names no image" in refusal(host, seeded(generate(), only_rerolled=True))
    twice = seeded(generate(batch_size=4), reroll="3", only_rerolled=True)
    twice["more"] = node(
        "ARSeeds",
        ar_sampling=["seeds", 0],
        seeds="",
        reroll="1, 3",
        reroll_seed=9,
        only_rerolled=False,
    )
    twice["cfg"]["inputs"]["ar_sampling"] = ["more", 0]
    message = refusal(host, twice)
    assert "image 1 is not made" in message and "makes only 3" in message


# --- large batches ----------------------------------------------------------------------------------------------------


def test_a_batch_in_parts_is_the_same_batch(host: RunningHost) -> None:
    prompt = generate(seed=5, batch_size=PART + 3)
    prompt["pick"] = node("ImageFromBatch", image=["decode", 0], batch_index=PART - 1, length=4)
    prompt["save"]["inputs"]["images"] = ["pick", 0]
    result = host.run(prompt)
    steps = [p for p in result.progress if p.node == "decode"]
    assert steps[-1].value == steps[-1].total == 2 * STEPS
    around = images(host, prompt)
    numbers = f"{PART}-{PART + 3}"  # with the seed they had: the same images, in a batch of four
    alone = seeded(
        generate(seed=5, batch_size=PART + 3), reroll=numbers, reroll_seed=5, only_rerolled=True
    )
    assert alike(around, images(host, alone)) >= 4 - ROUNDED


def test_a_cancelled_batch_leaves_what_is_finished(host: RunningHost) -> None:
    temp = host.process.base / "temp"
    before = set(temp.glob("ar-guidance-finished*"))
    result = host.run_and_cancel(generate(seed=31, batch_size=3 * PART), "decode", after=STEPS)
    assert result.status == "interrupted"
    new = sorted(set(temp.glob("ar-guidance-finished*")) - before)
    assert len(new) in (PART, 2 * PART)  # a part or two, as fast as the machine is
    assert f"{len(new)} of {3 * PART} images were finished" in host.process.log_tail()
    images(host, generate(seed=21))


def test_a_cancelled_batch_can_be_handed_on(host: RunningHost) -> None:
    prompt = generate(seed=32, batch_size=3 * PART)
    prompt["decode"]["inputs"]["if_stopped"] = "hand on finished pictures"
    result = host.run_and_cancel(prompt, "decode", after=STEPS)
    assert result.status == "success" and len(result.images) in (PART, 2 * PART)
    whole = host.run(prompt)  # the same again: what was handed on is not taken for the result
    assert len(whole.images) == 3 * PART and "decode" not in whole.cached
    prompt["save"]["inputs"]["filename_prefix"] = "again"
    after = host.run(prompt)  # and the whole result is kept as ever
    assert len(after.images) == 3 * PART and "decode" in after.cached


def test_a_failing_batch_names_what_is_finished(host: RunningHost, tmp_path: Path) -> None:
    tokenizer = BUNDLED.with_name("emoji_tokenizer.safetensors")
    printed = run_inside(host.process.host, "failing_batch", tmp_path, BUNDLED, tokenizer)
    lines = printed.splitlines()
    assert lines[0] == "OutOfMemoryError: no memory left"
    assert lines[2].startswith("Neither 5 images nor 3 fit into memory at once. One takes about ")
    assert lines[2].endswith("are free: set images_at_once on AR Decode to 2")
    assert f"{PART} of {PART + 5} images were finished before" in lines[4]
    files = sorted(path.name for path in tmp_path.glob("*.png"))
    assert len(files) == PART and files[0] in lines[4] and files[-1] in lines[4]
    kinds = 5 if host.version == "0.3.75" else 6
    assert lines[5 : 5 + kinds] == ["[3, 1, 2]: the same tokens"] * kinds
    assert_what_fits(lines[5 + kinds : -4])
    assert lines[-4:] == [  # what ends ComfyUI itself is not held up by finished images
        "ValueError: handed on",
        "InterruptProcessingException: handed on",
        "KeyboardInterrupt: raised KeyboardInterrupt",
        "SystemExit: raised SystemExit",
    ]


def assert_what_fits(lines: list[str]) -> None:
    """What is said of four images and of one, with and without free memory; of another error; and a search in halves."""
    *short, other, probed = lines
    ends = ["set images_at_once on AR Decode to 1"] + ["choose a smaller size or model"] * 3
    for said, count, end in zip(short, (4, 1, 4, 1), ends, strict=True):
        whole = "Neither 4 images nor 2 fit" if count == 4 else "The image does not fit"
        assert f"OutOfMemoryError: no memory left {whole} into memory" in said
        assert "One takes about" in said and said.endswith(end)
    assert other == "RuntimeError: shapes do not fit [3]"  # that one is not tried again
    assert probed == "3 images probed as [6, 2, 4] rows"


def test_a_scale_is_probed_in_parts_that_fit(host: RunningHost) -> None:
    tokenizer = BUNDLED.with_name("emoji_tokenizer.safetensors")
    printed = run_inside(host.process.host, "probing_in_parts", BUNDLED, tokenizer)
    whole, parts = map(json.loads, printed.splitlines())
    for one, many in zip(whole, parts, strict=True):  # subject told from the border, and masked
        assert one["sizes"] == [1] * 4 + [4] * 4 and many["sizes"] == [1] * 4 + [3, 1] * 4
        for made in (one, many):
            reported, total = made["progress"]
            assert reported == total == len(made["sizes"]) * STEPS
        for a, b in zip(one["probes"], many["probes"], strict=True):
            assert np.allclose(a[:3], b[:3], atol=1e-3)
            assert np.allclose(a[3], b[3], atol=1e-3)
