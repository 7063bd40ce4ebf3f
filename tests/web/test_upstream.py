"""What lies before a node, and where its seed is set, beyond the borders of the subgraphs it is in."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "web" / "js"
# A sampler in the root graph or in the outer subgraph, a guidance and AR Decode in the inner one; the host's classes as far as they are asked.
SCRIPT = """
class LGraphNode {
  constructor(graph, id, comfyClass, inputs = [], widgets = []) {
    Object.assign(this, { graph, id, comfyClass, inputs: inputs.map((name) => ({ name })), widgets, links: {} });
    graph.nodes.push(this);
  }
  getInputLink(slot) { return this.links[slot] ?? null; }
  isInputConnected(slot) { return Boolean(this.links[slot]); }
}
class SubgraphNode extends LGraphNode {
  getInputLink() { throw new Error("this is what leaves the subgraph"); }
}
globalThis.window = { LiteGraph: { LGraphNode } };
const graph = (...names) => {
  const nodes = [];
  return { nodes, outputs: [], links: {}, getLink(id) { return this.links[id] ?? null; }, inputs: names.map((name) => ({ name })), getNodeById: (id) => nodes.find((node) => node.id === id) ?? null };
};
const link = (node, name, origin_id, origin_slot = 0) => { node.links[node.inputs.findIndex((input) => input.name === name)] = { origin_id, origin_slot }; };
const seed = (value) => ({ name: "seed", value });

const [root, outer, inner] = [graph(), graph("sampling", "noise"), graph("given", "number")];
const home = new SubgraphNode(root, 9, "home", ["sampling", "noise"], [seed(3)]);
home.widgets[0].name = "noise";
const between = new SubgraphNode(outer, 5, "between", ["given", "number"]);
Object.assign(home, { subgraph: outer });
Object.assign(between, { subgraph: inner });
const loader = new LGraphNode(root, 1, "ARLoadCheckpoint", [], [{ name: "checkpoint", value: "a.pth" }]);
const sampler = new LGraphNode(root, 2, "ARSampler", ["model", "seed"], [seed(4)]);
const inside = new LGraphNode(inner, 7, "ARSampler", ["seed"], [seed(6)]);
const guidance = new LGraphNode(inner, 3, "ARGuidanceCFG", ["ar_sampling", "other"]);
const decode = new LGraphNode(inner, 4, "ARDecode", ["ar_sampling"]);
link(sampler, "model", 1);
link(home, "sampling", 2);
link(between, "given", -10, 0);
link(between, "number", "-10", 1);
link(guidance, "ar_sampling", -10, 0);
link(guidance, "other", 7);
link(inside, "seed", -10, 1);
link(decode, "ar_sampling", 3);

const { upstream, checkpointOf, settingOf } = await import(FOLDER + "upstream.mjs");
const { keepSeed, useSeed } = await import(FOLDER + "seeds.mjs");
const names = (around) => [...upstream(decode, around)].map(({ node: { comfyClass, id } }) => `${comfyClass} ${id}`);
const told = { all: names([between, home]), some: names([between]), none: names([]) };
told.checkpoints = [checkpointOf(decode, [between, home]), checkpointOf(decode, [])];
told.kept = keepSeed(decode, { seed: "91" }, [between, home]);
told.seeds = [sampler.widgets[0].value, home.widgets[0].value, inside.widgets[0].value];
told.given = [settingOf(inside, "seed", [between, home]), settingOf(inside, "seed", [])];
told.alone = keepSeed(decode, { seed: "92" }, []);
link(home, "noise", 2);
told.linked = useSeed(inside, "seed", "93", [between, home]);
told.after = [sampler.widgets[0].value, home.widgets[0].value, inside.widgets[0].value];
// A loader and a guidance in a graph that two nodes stand for, one behind the other; the second is bypassed later on.
const twin = graph("in");
twin.outputs = [{ linkIds: [1] }];
twin.links[1] = { origin_id: 11, origin_slot: 0 };
new LGraphNode(twin, 11, "ARGuidanceIGG", ["ar_sampling"]);
link(twin.nodes[0], "ar_sampling", -10);
const [first, second] = [20, 21].map((id) => Object.assign(new SubgraphNode(root, id, "twin", ["in"]), { subgraph: twin }));
const last = new LGraphNode(root, 22, "ARDecode", ["ar_sampling"]);
link(last, "ar_sampling", 21);
link(second, "in", 20);
link(first, "in", 2);
const walked = () => [...upstream(last)].map(({ node: { id }, around }) => [id, ...around.map(({ id }) => id)].join(" in "));
told.twice = walked();
second.mode = 4;
told.bypassed = walked();
console.log(JSON.stringify(told));"""


@pytest.fixture(scope="module")
def told() -> dict:
    driver = pytest.importorskip("playwright._impl._driver")
    script = SCRIPT.replace("FOLDER", json.dumps(FOLDER.as_uri() + "/"))
    command = [driver.compute_driver_executable()[0], "--input-type=module", "-e", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def test_the_walk_leaves_the_subgraphs_it_is_told_of(told: dict) -> None:
    near = ["ARGuidanceCFG 3", "ARSampler 7"]
    assert sorted(told["all"]) == sorted([*near, "ARSampler 2", "ARLoadCheckpoint 1"])
    assert sorted(told["some"]) == sorted(told["none"]) == sorted(near)
    assert told["checkpoints"] == ["a.pth", None]


def test_the_walk_enters_subgraphs(told: dict) -> None:
    assert told["twice"] == ["11 in 21", "11 in 20", "2", "1"]
    assert told["bypassed"] == ["21", "11 in 20", "2", "1"]


def test_a_seed_is_set_where_it_is_given(told: dict) -> None:
    assert told["kept"] is True
    assert told["seeds"] == [91, 91, 6]  # the inner sampler's is given from outside, two levels up
    assert told["given"] == [{"value": 91, "known": True}, {"value": 6, "known": False}]


def test_a_seed_that_a_link_gives_stays(told: dict) -> None:
    assert told["alone"] is False and told["linked"] is False
    assert told["after"] == told["seeds"]
