"""Make a ready subgraph of every row of a paper: python -m tools.paper_subgraphs [--check]

A subgraph "AR paper NAME" stands behind a model and a condition: AR Sampler (AR EDM2 Sampler) and the row's guidance, every number of the row
(`sampling/paper_settings.py`) in a widget that is seen and can be changed. `--check` writes nothing and fails where a file is not as it would be.
"""

import json
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass
from pathlib import Path
from typing import Any

from ar_guidance.guidance.base import Guidance, settings
from ar_guidance.guidance.curve import Curve
from ar_guidance.sampling.paper_settings import ROWS, PaperSetting

from .pack import ROOT
from .workflow_properties import rewritten

FOLDER = ROOT / "subgraphs"
SAMPLING = "AR_SAMPLING"
CONDITION = ("ar_conditioning", "AR_CONDITIONING")
MODEL, EDM2_MODEL = ("ar_model", "AR_MODEL"), ("edm2_model", "AR_EDM2_MODEL")
INPUT, OUTPUT, SAMPLER, GUIDANCE = -10, -20, 1, 2  # ids of nodes
FAMILY = -1  # a filter's widget: as published for the family
Json = dict[str, Any]


@dataclass(frozen=True)
class Widget:
    """A widget of a node inside: its name, the type of its socket, and what it holds."""

    name: str
    kind: str
    value: Any
    shown: bool = True


def path_of(row: PaperSetting) -> Path:
    """Of a row's subgraph."""
    return FOLDER / f"AR paper {row.name}.json"


def sampler_widgets(row: PaperSetting) -> list[Widget]:
    """The sampler's, in its order; filters a row does not state are the family's, and EDM2's noise levels the released."""
    if row.family == "edm2":
        return edm2_widgets(row)
    filters = row.sampler
    held = [
        -1.0 if filters.temperature is None else filters.temperature,
        FAMILY if filters.top_k is None else filters.top_k,
        -1.0 if filters.top_p is None else filters.top_p,
    ]
    return [
        Widget("seed", "INT", 0),
        Widget("batch_size", "INT", 1),
        Widget("temperature", "FLOAT", held[0]),
        Widget("top_k", "INT", held[1]),
        Widget("top_p", "FLOAT", held[2]),
        Widget("min_p", "FLOAT", 0.0, shown=False),
        Widget("size", "COMBO", "model default", shown=False),
        Widget("temperatures", "STRING", "", shown=False),
        Widget("smooth", "COMBO", "family default", shown=False),
        Widget("parallel", "COMBO", "auto", shown=False),
        Widget("preset", "STRING", row.name),
    ]


def edm2_widgets(row: PaperSetting) -> list[Widget]:
    """AR EDM2 Sampler's."""
    heun = {"sigma_max": 80.0, "sigma_min": 0.002, "rho": 7.0}
    churn = {"churn": 0.0, "churn_min": 0.0, "churn_max": 1000.0, "churn_noise": 1.0}
    return [
        Widget("seed", "INT", 0),
        Widget("batch_size", "INT", 1),
        Widget("steps", "INT", 32),
        *(Widget(name, "FLOAT", value, shown=False) for name, value in (heun | churn).items()),
        *(Widget(name, "INT", 0, shown=False) for name in ("width", "height")),
        Widget("preset", "STRING", row.name),
    ]


def guidance_widgets(guidance: Guidance) -> list[Widget]:
    """A guidance node's, in its order; a curve's comes last and is left to its default."""
    fields = [field for field in settings(type(guidance)) if not isinstance(field.default, Curve)]
    return [Widget(field.name, _kind(field), _held(guidance, field)) for field in fields]


def _kind(field: Field) -> str:
    if field.metadata["parameter"].options:
        return "COMBO"
    kinds = {bool: "BOOLEAN", int: "INT", float: "FLOAT"}
    return kinds.get(type(field.default), "STRING")


def _held(guidance: Guidance, field: Field) -> Any:
    value = getattr(guidance, field.name)
    return ", ".join(f"{number:g}" for number in value) if isinstance(value, tuple) else value


def subgraph(row: PaperSetting) -> str:
    """The file of a row's subgraph."""
    (guidance,) = row.chain
    sampler, own = sampler_widgets(row), guidance_widgets(guidance)
    shown = [(SAMPLER, w) for w in sampler if w.shown] + [(GUIDANCE, w) for w in own]
    edm2 = row.family == "edm2"
    sockets = [EDM2_MODEL if edm2 else MODEL, CONDITION]
    named = [*sockets, *((w.name, w.kind) for _, w in shown)]
    places = {SAMPLER: [*(name for name, _ in sockets), *(w.name for w in sampler)]}
    places[GUIDANCE] = ["ar_sampling", *(w.name for w in own)]
    targets = [SAMPLER, SAMPLER, *(node for node, _ in shown)]
    links = [
        _link(k + 1, INPUT, k, target, places[target].index(name), kind)
        for k, ((name, kind), target) in enumerate(zip(named, targets, strict=True))
    ]
    inside, outside = len(links) + 1, len(links) + 2
    links.append(_link(inside, SAMPLER, 0, GUIDANCE, 0, SAMPLING))
    links.append(_link(outside, GUIDANCE, 0, OUTPUT, 0, SAMPLING))
    wires = {(link["target_id"], link["target_slot"]): link["id"] for link in links}
    nodes = [
        _node(SAMPLER, "AREDM2Sampler" if edm2 else "ARSampler", sockets, sampler, wires, inside),
        _node(GUIDANCE, guidance.node_id, [("ar_sampling", SAMPLING)], own, wires, outside),
    ]
    graph = _graph(row, named, links, nodes, outside)
    content = _outer(row, graph["id"], named[:2], [w for _, w in shown])
    content["definitions"] = {"subgraphs": [graph]}
    return rewritten(json.dumps(content, indent=1) + "\n")


def _link(number: int, origin: int, slot: int, target: int, place: int, kind: str) -> Json:
    return {
        **{"id": number, "origin_id": origin, "origin_slot": slot},
        **{"target_id": target, "target_slot": place, "type": kind},
    }


def _node(
    number: int,
    kind: str,
    sockets: Sequence[tuple[str, str]],
    widgets: Sequence[Widget],
    wires: Mapping[tuple[int, int], int],
    out: int,
) -> Json:
    """A seed is followed by what ComfyUI does with it after a run."""
    inputs: list[Json] = [{"name": name, "type": wire} for name, wire in sockets]
    inputs += [{"name": w.name, "type": w.kind, "widget": {"name": w.name}} for w in widgets]
    for place, socket in enumerate(inputs):
        socket["link"] = wires.get((number, place))
    values = [v for w in widgets for v in ([w.value, "fixed"] if w.name == "seed" else [w.value])]
    return {
        **{"id": number, "type": kind, "pos": [40 + 380 * (number - 1), 120], "size": [340, 420]},
        **{"flags": {}, "order": number - 1, "mode": 0, "inputs": inputs},
        "outputs": [{"name": SAMPLING, "type": SAMPLING, "links": [out]}],
        "properties": {"Node name for S&R": kind},
        "widgets_values": values,
    }


def _graph(
    row: PaperSetting,
    named: Sequence[tuple[str, str]],
    links: Sequence[Json],
    nodes: Sequence[Json],
    out: int,
) -> Json:
    """The subgraph itself."""
    inputs = [
        {"id": _id(row, f"input {name}"), "name": name, "type": kind}
        | {"linkIds": [k + 1], "pos": [-140, 140 + 20 * k]}
        for k, (name, kind) in enumerate(named)
    ]
    output = {"id": _id(row, "output"), "name": SAMPLING, "type": SAMPLING}
    output |= {"linkIds": [out], "pos": [840, 140]}
    last = {"lastGroupId": 0, "lastNodeId": 2, "lastLinkId": len(links), "lastRerouteId": 0}
    reported = ", ".join(f"{name} {value:g}" for name, value in row.reported.items())
    return {
        **{"id": _id(row, "graph"), "version": 1, "state": last, "revision": 0, "config": {}},
        "name": f"AR paper {row.name}",
        "inputNode": {"id": INPUT, "bounding": [-200, 120, 120, 40 + 20 * len(inputs)]},
        "outputNode": {"id": OUTPUT, "bounding": [820, 120, 120, 60]},
        **{"inputs": inputs, "outputs": [output], "widgets": [], "nodes": list(nodes)},
        **{"groups": [], "links": list(links), "extra": {}, "category": "AR Guidance/papers"},
        "description": f"{row.source}: for {row.family}, {row.release}. Reported: {reported}. Not checked on the released weights.",
    }


def _outer(
    row: PaperSetting, graph: str, sockets: Sequence[tuple[str, str]], shown: Sequence[Widget]
) -> Json:
    """The file around the subgraph: one node of it."""
    inputs: list[Json] = [{"name": name, "type": kind, "link": None} for name, kind in sockets]
    inputs += [
        {"name": w.name, "type": w.kind, "widget": {"name": w.name}, "link": None} for w in shown
    ]
    node = {
        **{"id": 3, "type": graph, "pos": [100, 100], "size": [340, 520], "flags": {}, "order": 0},
        **{"mode": 0, "title": f"AR paper {row.name}", "inputs": inputs},
        "outputs": [{"name": SAMPLING, "type": SAMPLING, "links": []}],
        "properties": {},
        "widgets_values": [w.value for w in shown],
    }
    empty = {"revision": 0, "last_node_id": 3, "last_link_id": 0}
    return {**empty, "nodes": [node], "links": [], "version": 0.4, "extra": {}}


def _id(row: PaperSetting, part: str) -> str:
    """The same for the same row, so that files do not change for nothing."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"ar-guidance/paper/{row.name}/{part}"))


def main() -> int:
    made = {path_of(row): subgraph(row) for row in ROWS}
    stale = [path for path in FOLDER.glob("AR paper *.json") if path not in made]
    wrong = [p for p, text in made.items() if not p.is_file() or p.read_text("utf-8") != text]
    for path in [*wrong, *stale]:
        if "--check" in sys.argv:
            print(f"{path.name} is not as tools/paper_subgraphs.py writes it")
        elif path in made:
            path.write_text(made[path], encoding="utf-8")
        else:
            path.unlink()
    return 1 if (wrong or stale) and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
