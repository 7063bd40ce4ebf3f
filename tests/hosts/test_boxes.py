"""AR Box Mask in real hosts: a box over the right half is the mask that is white there, for a region as for everything else."""

from __future__ import annotations

import numpy as np
from ar_guidance.tests.hosts.graphs import node
from ar_guidance.tests.hosts.running import RunningHost
from ar_guidance.tests.hosts.test_compose import composed, region, with_mask
from ar_guidance.tests.hosts.test_nodes import images, refusal

BOXES = [
    {"x": 0, "y": 0, "width": 5, "height": 5},
    {"x": 48, "y": 0, "width": 48, "height": 96},
]


def test_boxes_are_masks(host: RunningHost) -> None:
    painted = images(host, with_mask(composed("12", "40", region())))
    prompt = composed("12", "40", region())
    given = {"boxes": {"__value__": BOXES}, "width": 96, "height": 96, "box": 2}
    prompt["mask"] = node("ARBoxMask", **given)
    assert np.array_equal(images(host, prompt), painted)
    given["box"] = 3
    prompt["mask"] = node("ARBoxMask", **given)
    assert "box 3 is asked for, but there are 2" in refusal(host, prompt)


def test_the_host_s_own_box_arrives(host: RunningHost) -> None:
    described = host.object_info("ARBoxMask")["ARBoxMask"]["input"]
    assert described["required"]["boxes"][1]["forceInput"] is True  # a wire, never a widget
    if "PrimitiveBoundingBox" not in host.object_info():
        assert host.version == "0.3.75"
        return
    painted = images(host, with_mask(composed("12", "40", region())))
    prompt = composed("12", "40", region())
    prompt["boxes"] = node("PrimitiveBoundingBox", x=48, y=0, width=48, height=96)
    prompt["mask"] = node("ARBoxMask", boxes=["boxes", 0], width=96, height=96, box=0)
    assert np.array_equal(images(host, prompt), painted)
