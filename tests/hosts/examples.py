"""Workflows to run: a trivial one of core nodes, and the examples that ship with the pack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"
BRING_A_FILE = {
    "ARLoadEDM2",
    "ARLoadTextEncoder",
    "CheckpointLoaderSimple",
    "UNETLoader",
    "CLIPLoader",
    "VAELoader",
}
COMES_WITH_COMFYUI = "example.png"


def loads_a_file(node: dict[str, Any]) -> bool:
    """Whether a node loads a model that is not part of the pack, or an image of the user's."""
    if node["class_type"] == "ARLoadCheckpoint":
        return not node["inputs"]["checkpoint"].startswith("bundled")
    if node["class_type"] == "LoadImage":
        return node["inputs"]["image"] != COMES_WITH_COMFYUI
    return node["class_type"] in BRING_A_FILE


def needs_files(path: Path) -> bool:
    """Whether a workflow loads what comes neither with the pack nor with ComfyUI, so that it cannot run as it is."""
    prompt = json.loads((path.parent / "api" / path.name).read_text("utf-8"))
    return any(loads_a_file(node) for node in prompt.values())


ALL_EXAMPLES = sorted(WORKFLOWS.glob("*.json"))
EXAMPLES = [path.stem for path in ALL_EXAMPLES if not needs_files(path)]
EXAMPLES_WITH_FILES = [path.stem for path in ALL_EXAMPLES if needs_files(path)]


def example(stem: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """An example in API form and in UI form."""
    api = WORKFLOWS / "api" / f"{stem}.json"
    ui = WORKFLOWS / f"{stem}.json"
    return json.loads(api.read_text("utf-8")), json.loads(ui.read_text("utf-8"))


def first_workflow(scale: float = 4.0) -> dict[str, Any]:
    """The first example in UI form, with this scale of its CFG: tests do not depend on what it ships with."""
    workflow = example("01 First image - no download")[1]
    (guidance,) = (node for node in workflow["nodes"] if node["type"] == "ARGuidanceCFG")
    guidance["widgets_values"][0] = scale
    return workflow


def flat_colour(color: int = 0x3366CC) -> dict[str, Any]:
    """A blue image, in API form."""
    return {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 96, "height": 64, "batch_size": 1, "color": color},
        },
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "flat"}},
    }


def flat_colour_graph(color: int = 0x3366CC) -> dict[str, Any]:
    """The same image, in UI form."""
    return {
        "last_node_id": 2,
        "last_link_id": 1,
        "nodes": [
            {
                **{
                    "id": 1,
                    "type": "EmptyImage",
                    "pos": [60, 120],
                    "size": [280, 150],
                    "flags": {},
                    "order": 0,
                },
                **{"mode": 0, "inputs": [], "properties": {}, "widgets_values": [96, 64, 1, color]},
                "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}],
            },
            {
                **{
                    "id": 2,
                    "type": "SaveImage",
                    "pos": [420, 120],
                    "size": [320, 320],
                    "flags": {},
                    "order": 1,
                },
                **{"mode": 0, "outputs": [], "properties": {}, "widgets_values": ["flat"]},
                "inputs": [{"name": "images", "type": "IMAGE", "link": 1}],
            },
        ],
        "links": [[1, 1, 0, 2, 0, "IMAGE"]],
        "groups": [],
        "config": {},
        "extra": {},
        "version": 0.4,
    }
