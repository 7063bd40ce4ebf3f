"""Regions and blends in real hosts: what an artist wires, what it gives, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from ar_guidance.tests.hosts.graphs import add_mask, generate, node
from ar_guidance.tests.hosts.running import RunningHost
from ar_guidance.tests.hosts.test_inspect import mapped, measured, texts
from ar_guidance.tests.hosts.test_nodes import images, refusal
from ar_guidance.tests.hosts.test_sweep import found
from ar_guidance.tests.hosts.test_text_families import from_text, var_clip  # noqa: F401

Json = dict[str, Any]


def class_condition(classes: str) -> Json:
    return node(
        "ARClassCondition",
        ar_model=["load", 0],
        label="no class (unconditional)",
        classes=classes,
    )


def composed(first: str, second: str, made: Json, **options: Any) -> Json:
    """A graph whose sampler draws what `made` composes of two classes."""
    prompt = generate(classes=first, seed=3, **options)
    prompt["second"] = class_condition(second)
    prompt["made"] = made
    prompt["sampler"]["inputs"]["ar_conditioning"] = ["made", 0]
    return prompt


def region(**settings: Any) -> Json:
    defaults = {"mask": ["mask", 0], "weight": 1.0, "soft_edge": 0, "start": 0.0, "end": 1.0}
    links = {"ar_conditioning": ["condition", 0], "ar_region": ["second", 0]}
    return node("ARRegion", **(defaults | links | settings))


def blend(**settings: Any) -> Json:
    links = {"ar_conditioning": ["condition", 0], "ar_second": ["second", 0]}
    return node("ARBlend", **({"weight": 0.5, "start": 0.0, "end": 1.0} | links | settings))


def with_mask(prompt: Json, value: float = 1.0, x: int = 48, side: int = 96) -> Json:
    """Add a mask of another size than the image's: right of x."""
    add_mask(prompt, (side, side), (x, 0), (side - x, side), value)
    return prompt


def test_regions_and_blends(host: RunningHost) -> None:
    second = images(host, generate(classes="40", seed=3))
    everywhere = images(host, with_mask(composed("12", "40", region()), x=0))
    assert np.array_equal(everywhere, second)
    assert np.array_equal(images(host, composed("12", "40", blend(weight=1.0))), second)
    half = images(host, with_mask(composed("12", "40", region(soft_edge=8))))
    first = images(host, generate(classes="12", seed=3))
    assert half.shape == first.shape
    assert not np.array_equal(half, first) and not np.array_equal(half, second)
    other = with_mask(composed("12", "40", blend(weight=1.0, start=0.5)))
    handed = images(host, other)
    assert not np.array_equal(handed, first) and not np.array_equal(handed, second)


def test_a_batch_of_classes_each_with_a_region(host: RunningHost) -> None:
    prompt = with_mask(composed("12, 13", "40", region(), batch_size=2))
    prompt["decode"]["inputs"]["images_at_once"] = 1
    batch = images(host, prompt)
    assert len(batch) == 4
    prompt = with_mask(composed("12", "40", region(), batch_size=2))
    prompt["decode"]["inputs"]["images_at_once"] = 1
    assert np.array_equal(images(host, prompt), batch[:2])


def test_what_cannot_be_composed_is_refused(host: RunningHost) -> None:
    empty = with_mask(composed("12", "40", region()), value=0.0)
    assert "the mask is empty" in refusal(host, empty)
    between = with_mask(composed("12", "40", region(start=0.4, end=0.45)))
    assert "none of this model's 7 steps" in refusal(host, between)
    many = with_mask(composed("12", "40", region()))
    many["sampler"]["inputs"]["ar_conditioning"] = ["many", 0]
    last = "made"
    for i in range(31):
        name = "many" if i == 30 else f"more{i}"
        many[name] = region(ar_conditioning=[last, 0])
        last = name
    assert "33 conditions in one image are too many" in refusal(host, many)


def test_maps_and_metrics_are_those_of_the_composed_image(host: RunningHost) -> None:
    prompt = measured()
    alone = json.loads(texts(host, prompt)["json"])
    prompt["second"] = class_condition("40")
    prompt["made"] = region()
    prompt["sampler"]["inputs"]["ar_conditioning"] = ["made", 0]
    both = json.loads(texts(host, prompt)["json"])
    assert len(both["steps"]) == len(alone["steps"]) and 0 <= both["evenness"] <= 1
    assert both["divergence"] != alone["divergence"]
    drawn = mapped(scales="combined")
    for name in ("second", "made", "mask", "ground", "patch"):
        drawn[name] = prompt[name]
    drawn["sampler"] = prompt["sampler"]
    over = images(host, drawn)
    assert len(over) == 1 and not np.array_equal(over, images(host, mapped(scales="combined")))


def test_a_region_s_weight_and_class_are_swept(host: RunningHost) -> None:
    prompt = with_mask(composed("12", "40", region(weight=["sweep", 0])))
    sweep = {"first_name": "weight", "second_name": "class"}
    prompt["sweep"] = node("ARSweep", first_values="0, 1", second_values="40, 13", **sweep)
    prompt["second"]["inputs"]["classes"] = ["sweep", 5]
    prompt["grid"] = node("ARGrid", images=["decode", 0], labels=["sweep", 6], columns=0, title="")
    prompt["save"]["inputs"]["images"] = ["grid", 0]
    (sheet,) = images(host, prompt)
    for alone in (
        generate(classes="12", seed=3),
        with_mask(composed("12", "13", region())),
        with_mask(composed("12", "40", region())),
    ):
        (image,) = images(host, alone)
        assert found(sheet, image.repeat(3, axis=0).repeat(3, axis=1))


def test_stock_masks_and_times_compose_prompts(host: RunningHost, var_clip) -> None:  # noqa: F811
    alone = images(host, from_text(var_clip, ("w5 w6",)))
    both = from_text(var_clip, ("w300 w17", "w5 w6"))
    masked = both | {"masked": set_mask(["text1", 0])}
    masked["both1"]["inputs"]["conditioning_2"] = ["masked", 0]
    everywhere = images(host, with_mask(masked, x=0))
    assert everywhere.shape == alone.shape and np.array_equal(everywhere, alone)
    assert not np.array_equal(images(host, with_mask(masked)), alone)
    whole = from_text(var_clip, ("w5 w6",))
    whole["time"] = node(
        "ConditioningSetTimestepRange", conditioning=["text0", 0], start=0.0, end=1.0
    )
    whole["condition"]["inputs"]["positive"] = ["time", 0]
    assert np.array_equal(images(host, whole), alone)


def test_stock_areas_compose_prompts(host: RunningHost, var_clip) -> None:  # noqa: F811
    """An area of the whole image is its prompt alone; of a half, it is neither that nor the other half's."""
    alone = images(host, from_text(var_clip, ("w5 w6",)))

    def areas(**shares: float) -> np.ndarray:
        prompt = from_text(var_clip, ("w300 w17", "w5 w6"))
        given = {"width": 1.0, "height": 1.0, "x": 0.0, "y": 0.0, "strength": 1.0} | shares
        prompt["area"] = node("ConditioningSetAreaPercentage", conditioning=["text1", 0], **given)
        prompt["both1"]["inputs"]["conditioning_2"] = ["area", 0]
        return images(host, prompt)

    assert np.array_equal(areas(), alone)
    left, right = areas(width=0.5), areas(width=0.5, x=0.5)
    assert not any(np.array_equal(one, other) for one, other in ((left, alone), (left, right)))


def set_mask(conditioning: list) -> Json:
    return node(
        "ConditioningSetMask",
        conditioning=conditioning,
        mask=["mask", 0],
        strength=1.0,
        set_cond_area="default",
    )


def test_conditions_of_different_kinds_are_refused(host: RunningHost, var_clip) -> None:  # noqa: F811
    prompt = from_text(var_clip, ("w5 w6",))
    prompt["bundled"] = node(
        "ARLoadCheckpoint", checkpoint="bundled: emoji 64x64", tokenizer="automatic"
    )
    prompt["second"] = class_condition("3") | {}
    prompt["second"]["inputs"]["ar_model"] = ["bundled", 0]
    prompt["made"] = blend()
    prompt["sampler"]["inputs"]["ar_conditioning"] = ["made", 0]
    assert "must be of one model" in refusal(host, prompt)


@pytest.mark.parametrize("node_id", ["ARRegion", "ARBlend"])
def test_the_host_offers_them(host: RunningHost, node_id: str) -> None:
    assert host.object_info(node_id)[node_id]["category"] == "AR Guidance/compose"
