"""The curve schedule: there where the host can draw one, absent where it cannot, and graphs of either kind run on both."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ar_guidance.guidance.curve import CUBIC, LINEAR, Curve
from ar_guidance.guidance.registry import METHODS
from ar_guidance.tests.hosts.graphs import cfg, generate
from ar_guidance.tests.hosts.running import RunningHost
from ar_guidance.tests.hosts.test_nodes import images, refusal

TYPES = Path("comfy_api") / "latest" / "_input" / "curve_types.py"


def types_of(host: RunningHost) -> Any:
    """The host's own curves, or None where it has none."""
    path = host.process.host.folder / TYPES
    if not path.is_file():
        return None
    spec = importlib.util.spec_from_file_location(f"curve_types_{id(host)}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def drawn(points: list[list[float]], interpolation: str = CUBIC) -> dict[str, Any]:
    """A CFG link whose schedule is a curve, as the host's editor saves it."""
    curve = {"points": points, "interpolation": interpolation}
    return cfg(["sampler", 0], 4.0, schedule="curve", curve=curve)


def test_offered_exactly_where_the_host_can_draw(host: RunningHost) -> None:
    can_draw = types_of(host) is not None
    assert can_draw == (host.version != "0.3.75")
    for method in METHODS.values():
        inputs = host.object_info(method.node_id)[method.node_id]["input"]
        options = inputs["required"]["schedule"]
        listed = options[1].get("options") or options[0]
        takes_one = can_draw and "curve" in method.__dataclass_fields__
        assert ("curve" in listed) == takes_one
        assert ("curve" in inputs.get("optional", {})) == takes_one


def test_a_drawn_curve_guides(host: RunningHost) -> None:
    prompt = generate(seed=2)
    prompt["cfg"] = drawn([[0, 0], [1, 1]])
    if types_of(host) is None:
        assert "no curve widget" in refusal(host, prompt)
        return
    ramp = generate(seed=2)
    ramp["cfg"] = cfg(["sampler", 0], 4.0, schedule="linear ramp")
    assert np.array_equal(images(host, prompt), images(host, ramp))
    prompt["cfg"] = drawn([[0, 1], [0.4, 1], [1, 0]])
    late = images(host, prompt)
    assert not np.array_equal(late, images(host, ramp))
    prompt["cfg"] = drawn([[0, 0.5], [0.2, "x"]])
    assert "draw it again" in refusal(host, prompt)


def test_graphs_without_a_curve_and_with_an_unused_one_run_everywhere(host: RunningHost) -> None:
    plain = images(host, generate(seed=2))
    with_curve = generate(seed=2)
    with_curve["cfg"]["inputs"]["curve"] = {"points": [[0, 1], [1, 0]], "interpolation": LINEAR}
    assert np.array_equal(images(host, with_curve), plain)


@pytest.mark.parametrize("interpolation", [CUBIC, LINEAR])
def test_interpolation_is_the_hosts(host: RunningHost, interpolation: str) -> None:
    types, rng = types_of(host), random.Random(3)
    for count in range(1, 9) if types is not None else ():
        points = tuple((rng.random(), rng.random()) for _ in range(count))
        curve = Curve(points, interpolation)
        theirs = types.CurveInput.from_raw({"points": points, "interpolation": interpolation})
        for x in np.linspace(0, 1, 101):
            assert curve.at(float(x)) == pytest.approx(theirs.interp(float(x)), abs=1e-9)
