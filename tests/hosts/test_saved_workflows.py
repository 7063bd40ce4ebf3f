"""Workflows saved with earlier versions: they load, mean and run what they did. `tests/workflows/vN` are never edited.
A snapshot `nodes.json` without workflows pins the nodes that came, and inputs that were added, since the one before.

The frontend reads the values of a saved node by place, so inputs may only be added, behind all others; and no node, input,
output or choice that was there may go.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ar_guidance.tests.hosts.examples import loads_a_file
from ar_guidance.tests.hosts.node_interface import WIDGETS, interface, widget_values
from ar_guidance.tests.hosts.running import RunningHost

SAVED = Path(__file__).resolve().parents[1] / "workflows"
PINNED = sorted(SAVED.glob("v*/nodes.json"))
GRAPHS = sorted(path for path in SAVED.glob("v*/*.json") if path.name != "nodes.json")
PROMPTS = sorted(SAVED.glob("v*/api/*.json"))


def load(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def runs_offline(path: Path) -> bool:
    """Whether a prompt needs nothing but the pack."""
    return not any(loads_a_file(node) for node in load(path).values())


OFFLINE = [path for path in PROMPTS if runs_offline(path)]
OURS = {kind for path in PINNED for kind in load(path)}


def name(path: Path) -> str:
    return path.relative_to(SAVED).as_posix()


@pytest.mark.parametrize("pinned", PINNED, ids=name)
def test_nodes_inputs_and_outputs_are_still_there(host: RunningHost, pinned: Path) -> None:
    now = {kind: interface(info) for kind, info in host.object_info().items()}
    for kind, was in load(pinned).items():
        assert kind in now, f"{kind} is gone: saved workflows name it"
        inputs, outputs = now[kind]["inputs"], now[kind]["outputs"]
        widgets = [pair for pair in was["inputs"] if pair[1] in WIDGETS]
        assert [pair for pair in inputs if pair[1] in WIDGETS][: len(widgets)] == widgets, kind
        types = {name: described.split(",") for name, described in inputs}
        for entry, described in was["inputs"]:  # a socket may take more than it did
            assert set(described.split(",")) <= set(types[entry]), (kind, entry)
        assert outputs[: len(was["outputs"])] == was["outputs"], kind


@pytest.mark.parametrize("path", GRAPHS, ids=name)
def test_saved_values_mean_what_they_meant(host: RunningHost, path: Path) -> None:
    known, prompt = host.object_info(), load(path.parent / "api" / path.name)
    seen = 0
    for node in load(path)["nodes"]:
        kind, values = node["type"], node.get("widgets_values")
        if kind not in OURS or not values or str(node["id"]) not in prompt:
            continue
        meant = prompt[str(node["id"])]["inputs"]
        for key, value in widget_values(known[kind], values).items():
            if not isinstance(meant.get(key, value), list):  # wired
                assert meant.get(key, value) == value, (kind, key)
                seen += key in meant
    assert seen


@pytest.mark.parametrize("path", OFFLINE, ids=name)
def test_saved_prompts_still_run(host: RunningHost, path: Path) -> None:
    result = host.run(load(path))
    assert (result.status, result.error) == ("success", "")
    assert result.images or result.outputs


@pytest.mark.parametrize("path", [path for path in PROMPTS if path not in OFFLINE], ids=name)
def test_saved_prompts_with_files_only_miss_their_files(host: RunningHost, path: Path) -> None:
    known = host.object_info()
    for node in load(path).values():
        info = known[node["class_type"]]
        accepted = {**info["input"].get("required", {}), **info["input"].get("optional", {})}
        assert set(node["inputs"]) <= set(accepted), node["class_type"]
        assert set(info["input"].get("required", {})) <= set(node["inputs"]), node["class_type"]
