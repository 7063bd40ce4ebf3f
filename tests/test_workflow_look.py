"""Every workflow looks alike: titled groups around its nodes, a colour for each role."""

import json
from itertools import combinations

import pytest
from ar_guidance.tools.workflow_look import HEAD, ROOT, bounds, notes_below, rewritten

PATHS = sorted((ROOT / "workflows").glob("*.json"))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_workflow_is_laid_out(path) -> None:
    text = path.read_text("utf-8")
    assert text == rewritten(text), "run: python -m tools.workflow_look"
    workflow = json.loads(text)
    nodes = [node for node in workflow["nodes"] if node not in notes_below(workflow["nodes"])]
    assert all(node["color"] and node["bgcolor"] for node in workflow["nodes"])
    for node in nodes:
        x, y, wide, tall = bounds([node])
        inside = [
            box
            for box in (group["bounding"] for group in workflow["groups"])
            if box[0] <= x
            and box[1] <= y
            and x + wide <= box[0] + box[2]
            and y + tall <= box[1] + box[3]
        ]
        assert len(inside) == 1, f"{node['type']} is in {len(inside)} groups"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_groups_and_notes_are_apart(path) -> None:
    workflow = json.loads(path.read_text("utf-8"))
    notes = notes_below(workflow["nodes"])
    boxes = [group["bounding"] for group in workflow["groups"]]
    boxes += [[*node["pos"], node["size"][0], node["size"][1] + HEAD] for node in notes]
    for a, b in combinations(boxes, 2):
        across = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
        down = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
        assert across <= 0 or down <= 0, (a, b)


def test_titles_are_read_from_afar() -> None:
    """At the zoom at which a whole graph is seen, a title still has letters of some 12 pixels."""
    for path in PATHS:
        for group in json.loads(path.read_text("utf-8"))["groups"]:
            assert group["font_size"] >= 30, f"{path.stem}: {group['title']}"
