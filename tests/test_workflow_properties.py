"""Every workflow says which pack its nodes are from, and where files with a known address are had."""

import json
import re

import pytest
from ar_guidance.tools.workflow_properties import (
    NO_ADDRESS,
    ROOT,
    graphs,
    has_address,
    of_pack,
    rewritten,
    version,
)

PATHS = sorted([*(ROOT / "workflows").glob("*.json"), *(ROOT / "subgraphs").glob("*.json")])


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_workflow_names_pack_and_files(path) -> None:
    text = path.read_text("utf-8")
    assert text == rewritten(text), "run: python -m tools.workflow_properties"
    nodes = [node for graph in graphs(json.loads(text)) for node in graph["nodes"]]
    ours = [node["properties"] for node in nodes if of_pack(node["type"])]
    assert ours and all(said["cnr_id"] == "ar-guidance" for said in ours)
    assert all(said["ver"] == version() for said in ours)


def test_files_are_named_as_in_the_loader() -> None:
    text = (ROOT / "workflows" / "12 Text to image - Infinity.json").read_text("utf-8")
    (loader,) = [n for n in json.loads(text)["nodes"] if n["type"] == "ARLoadCheckpoint"]
    named = [(model["name"], model["directory"]) for model in loader["properties"]["models"]]
    assert named == [
        ("infinity_2b_reg.pth", "ar_checkpoints"),
        ("infinity_vae_d32reg.pth", "ar_tokenizers"),
    ]
    assert all(name in loader["widgets_values"] for name, _ in named)


def test_every_file_has_an_address_or_none_is_known() -> None:
    named, loaders = set(), ("Load", "Loader")
    for path in PATHS:
        for graph in graphs(json.loads(path.read_text("utf-8"))):
            for node in graph["nodes"]:
                if any(word in node["type"] for word in loaders) and node["type"] != "LoadImage":
                    named |= {value for value in node.get("widgets_values") or [] if is_file(value)}
    assert {name for name in named if not has_address(name)} <= NO_ADDRESS
    assert not {name for name in NO_ADDRESS if has_address(name)}


def is_file(value: object) -> bool:
    """Whether a widget's value is the name of a model file."""
    return (
        isinstance(value, str)
        and re.search(r"\.(pth|pt|bin|ckpt|safetensors|json|jit|pkl)$", value) is not None
    )
