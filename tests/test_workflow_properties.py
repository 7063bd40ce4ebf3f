"""Every workflow says which pack its nodes are from, and where files with a known address are had."""

import json

import pytest
from ar_guidance.tools.workflow_properties import ROOT, graphs, of_pack, rewritten, version

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
    text = (ROOT / "workflows" / "12-text-to-image-infinity.json").read_text("utf-8")
    (loader,) = [n for n in json.loads(text)["nodes"] if n["type"] == "ARLoadCheckpoint"]
    named = [(model["name"], model["directory"]) for model in loader["properties"]["models"]]
    assert named == [
        ("infinity_2b_reg.pth", "ar_checkpoints"),
        ("infinity_vae_d32reg.pth", "ar_tokenizers"),
    ]
    assert all(name in loader["widgets_values"] for name, _ in named)
