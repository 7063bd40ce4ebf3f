"""The ready subgraphs say what the papers' rows say, in the widgets, and fit the nodes."""

import json

import pytest
from ar_guidance.guidance.registry import METHODS
from ar_guidance.sampling.paper_settings import ROWS
from ar_guidance.tools.paper_subgraphs import FOLDER, path_of, subgraph


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_subgraph_holds_its_row(row) -> None:
    text = path_of(row).read_text("utf-8")
    assert text == subgraph(row), "run: python -m tools.paper_subgraphs"
    content = json.loads(text)
    (node,), (graph,) = content["nodes"], content["definitions"]["subgraphs"]
    names = [socket["name"] for socket in node["inputs"] if "widget" in socket]
    shown = dict(zip(names, node["widgets_values"], strict=True))
    (guidance,) = row.chain
    assert shown["scale"] == guidance.scale and shown["schedule"] == guidance.schedule
    if row.sampler.top_p is not None:
        assert (shown["top_k"], shown["top_p"]) == (row.sampler.top_k, row.sampler.top_p)
    assert shown["preset"] == row.name, "AR Sampler cannot tell a wrong model"
    inner = {one["type"]: one for one in graph["nodes"]}
    method = next(m for m in METHODS.values() if m.node_id in inner)
    held = [i["name"] for i in inner[method.node_id]["inputs"] if "widget" in i]
    values = dict(zip(held, inner[method.node_id]["widgets_values"], strict=True))
    for name, value in values.items():
        given = getattr(guidance, name)
        assert value == given or (value == "" and given == ())
        assert shown[name] == value


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_wire_arrives_where_it_is_named(row) -> None:
    (graph,) = json.loads(subgraph(row))["definitions"]["subgraphs"]
    nodes = {node["id"]: node for node in graph["nodes"]}
    for link in graph["links"]:
        if link["target_id"] in nodes:
            socket = nodes[link["target_id"]]["inputs"][link["target_slot"]]
            assert (socket["link"], socket["type"]) == (link["id"], link["type"])
        if link["origin_id"] == -10:
            outer = graph["inputs"][link["origin_slot"]]
            assert outer["linkIds"] == [link["id"]] and outer["name"] == socket["name"]


def test_there_are_those_of_the_rows_and_no_others() -> None:
    assert {path.name for path in FOLDER.glob("AR paper *.json")} == {
        p.name for p in map(path_of, ROWS)
    }
    assert {row.family for row in ROWS} == {"var", "alitok", "edm2"}
