"""Edits in real hosts: what masks, numbers and images of any size do, and which are refused."""

from __future__ import annotations

import numpy as np
import pytest
from ar_guidance.tests.hosts.edit_graphs import again, inpaint, keep_scales, masked, outpaint
from ar_guidance.tests.hosts.graphs import generate, node
from ar_guidance.tests.hosts.running import RunningHost
from ar_guidance.tests.hosts.test_nodes import images, refusal
from ar_guidance.tests.hosts.test_tokens import llamagen  # noqa: F401


def test_a_dot_on_a_large_mask_is_not_lost(host: RunningHost) -> None:
    prompt = again(masked(generate(seed=4), 1024), inpaint(ar_tokens=["decode", 2], soft_edge=0))
    prompt["patch"]["inputs"] |= {"width": 3, "height": 3}
    prompt["mask"]["inputs"] |= {"x": 517, "y": 517}
    changed = np.abs(images(host, prompt) - images(host, generate(seed=4))).max(-1)[0] > 0
    changed[32, 32] = False  # the one pixel that may, where the dot lies
    assert not changed.any()


def test_a_wide_soft_edge_still_changes_a_small_mask(host: RunningHost) -> None:
    first = images(host, generate(seed=4))[0]
    wide = again(masked(generate(seed=4)), inpaint(ar_tokens=["decode", 2], soft_edge=256))
    assert np.abs(images(host, wide)[0] - first).max() > 0.1


def test_filling_from_around_needs_something_around(host: RunningHost) -> None:
    filled = inpaint(image=["decode", 0], under_mask="filled from around")
    prompt = again(masked(generate(seed=4)), filled)
    prompt["ground"]["inputs"]["value"] = 1.0
    assert "the mask covers the whole image" in refusal(host, prompt)


def test_filling_pairs_images_and_masks_as_without_it(host: RunningHost) -> None:
    def made(count: int, masks: int, how: str) -> np.ndarray:
        prompt = masked(generate(seed=4, batch_size=count))
        again(prompt, inpaint(image=["decode", 0], under_mask=how, mask=["masks", 0]))
        prompt["many"] = node("EmptyImage", width=64, height=64, batch_size=masks, color=0)
        prompt["placed"] = node("ImageToMask", image=["many", 0], channel="red")
        prompt["masks"] = node(
            "MaskComposite",
            destination=["placed", 0],
            source=["patch", 0],
            x=32,
            y=32,
            operation="add",
        )
        prompt["sampler2"]["inputs"]["batch_size"] = 4
        return images(host, prompt)

    for count, masks in ((1, 4), (4, 2)):
        both = [made(count, masks, how) for how in ("as it is", "filled from around")]
        assert [len(batch) for batch in both] == [4, 4]
        assert np.array_equal(both[0][:, :32], both[1][:, :32])


@pytest.mark.parametrize(
    "name, value, edit",
    [
        ("variation", "2", "scales"),
        ("keep_scales", "-5", "scales"),
        ("variation", "-1", "inpaint"),
        ("soft_edge", "-3", "inpaint"),
        ("left", "-0.5", "outpaint"),
        ("soft_edge", "999", "outpaint"),
    ],
)
def test_numbers_from_links_are_checked(
    host: RunningHost, name: str, value: str, edit: str
) -> None:
    whole = name in ("keep_scales", "soft_edge")
    linked = {name: ["sweep", 1 if whole else 0]}
    edits = {
        "scales": lambda: keep_scales(**linked),
        "inpaint": lambda: inpaint(ar_tokens=["decode", 2], **linked),
        "outpaint": lambda: outpaint(**linked),
    }
    prompt = again(masked(generate(seed=4)), edits[edit]())
    prompt["sweep"] = node(
        "ARSweep", first_values=value, second_values="", first_name="a", second_name="b"
    )
    assert f"{name} is {value}" in refusal(host, prompt)


def test_half_of_a_mask_at_the_top_of_a_token_wise_image(
    host: RunningHost,
    llamagen,  # noqa: F811
) -> None:
    first = images(host, generate(*llamagen, classes="3", seed=4))[0]
    size = first.shape[0]
    made = {}
    for variation in (0.0, 0.5, 1.0):
        edit = inpaint(ar_tokens=["decode", 2], soft_edge=0, variation=variation)
        prompt = again(masked(generate(*llamagen, classes="3", seed=4), size), edit, classes="5")
        prompt["mask"]["inputs"] |= {"x": 0, "y": 0}
        made[variation] = images(host, prompt)[0]
        changed = np.abs(made[variation] - first).max(-1) > 0
        assert changed.any() == (variation > 0)
        assert not changed[size // 2 :].any() and not changed[:, size // 2 :].any()
    assert not np.array_equal(made[0.5], made[1.0])


def test_an_image_of_a_size_that_the_model_makes_keeps_it(
    host: RunningHost,
    llamagen,  # noqa: F811
) -> None:
    prompt = generate(*llamagen, classes="3", seed=4)
    prompt["larger"] = node(
        "ImageScale",
        image=["decode", 0],
        upscale_method="bilinear",
        width=48,
        height=48,
        crop="disabled",
    )
    prompt["tokens"] = node(
        "ARImageToTokens", image=["larger", 0], ar_model=["load", 0], fit="crop"
    )
    prompt["back"] = node("ARTokensToImage", ar_tokens=["tokens", 0], ar_model=["load", 0])
    prompt["save"]["inputs"]["images"] = ["back", 0]
    assert images(host, prompt).shape == (1, 48, 48, 3)
    message = refusal(
        host,
        again(prompt, keep_scales(["tokens", 0]), classes="5"),
    )
    assert "AR Sampler's size to 48x48" in message and "8x8 pixels" in message


def test_an_empty_list_of_second_values_is_said(host: RunningHost) -> None:
    prompt = generate(seed=4)
    prompt["sweep"] = node(
        "ARSweep", first_values="3", second_values="", first_name="a", second_name="b"
    )
    prompt["cfg"]["inputs"]["scale"] = ["sweep", 3]
    assert "second_values is empty" in host.run(prompt).error
