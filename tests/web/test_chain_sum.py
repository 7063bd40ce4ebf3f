"""What guidance nodes say their chain adds up to is what a run of that chain has."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path

import pytest
from ar_guidance.guidance.base import Guidance, RunInfo
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.combining import Combining
from ar_guidance.guidance.registry import METHODS
from ar_guidance.guidance.schedule import Schedule

MODULE = Path(__file__).resolve().parents[2] / "web" / "js" / "chain_sum.mjs"
SCRIPT = """
const { chainSum } = await import(MODULE);
globalThis.window = { LiteGraph: { LGraphNode: { prototype: { getInputLink() { return this.link; } } } } };
console.log(JSON.stringify(JSON.parse(process.argv[1]).map((chain) => {
  const graph = { nodes: [], getNodeById: (id) => graph.nodes[id] };
  graph.rootGraph = graph;
  chain.forEach(([comfyClass, rows, mode], id) => {
    const link = id ? { origin_id: id - 1, origin_slot: 0 } : null;
    graph.nodes.push({ id, graph, comfyClass, rows, mode, link, inputs: [{ name: 'ar_sampling' }] });
  });
  return chainSum(graph.nodes.at(-1), ({ rows }) => rows);
})));"""
STEPS = 7
RUN = RunInfo("scale", tuple((k, k) for k in range(1, STEPS + 1)))
CHAINED = ("cfg", "igg", "mixed", "apg", "ssg")


def sums(chains: list[list[tuple[str, list | None, int]]]) -> list[float | None]:
    """What the module answers for (class, strengths, mode) of every node of these chains, the last node's."""
    driver = pytest.importorskip("playwright._impl._driver")
    script = SCRIPT.replace("MODULE", json.dumps(MODULE.as_uri()))
    command = [driver.compute_driver_executable()[0], "--input-type=module", "-e", script]
    done = subprocess.run(
        [*command, json.dumps(chains)], capture_output=True, text=True, timeout=60, check=True
    )
    return json.loads(done.stdout)


def rows(guidance: Guidance) -> list[list[float | None]]:
    """The strengths of every weight and step, as the editor on the node has them; null where it is off."""
    if not isinstance(guidance, Combining):
        return []
    weights = [
        getattr(guidance, name) for name in ("scale", "igg_scale") if hasattr(guidance, name)
    ]
    shape = guidance.shape(Schedule())
    return [[shape.strength(k, STEPS, full, 1.0) for k in range(STEPS)] for full in weights]


def random_chain(rng: random.Random) -> tuple[Guidance, ...]:
    """Two to four guidances, on intervals of their own; the last one combines."""
    names = [rng.choice(CHAINED) for _ in range(rng.randint(1, 3))] + [rng.choice(CHAINED[:4])]
    return tuple(
        METHODS[name]()
        if name == "ssg"
        else METHODS[name](
            scale=round(rng.uniform(1.5, 6), 2),
            schedule=rng.choice(["constant", "linear ramp", "cosine power"]),
            start=rng.choice([0.0, 0.3]),
            end=rng.choice([0.5, 1.0]),
        )
        for name in names
    )


def test_it_is_the_strength_of_the_run() -> None:
    rng = random.Random(3)
    chains = [random_chain(rng) for _ in range(200)]
    found = sums([[(g.node_id, rows(g), 0) for g in chain] for chain in chains])
    for chain, got in zip(chains, found, strict=True):
        plan = Chain(chain).plans(RUN)
        together = [k for k in range(STEPS) if len(plan[k].combining) > 1]
        wanted = max((Chain(chain).strength(k, RUN) for k in together), default=None)
        assert got == (None if wanted is None else pytest.approx(wanted)), chain


def test_every_combining_method_counts() -> None:
    for method in METHODS.values():
        chain = [("ARGuidanceCFG", [[4.0]], 0), (method.node_id, [[3.0]], 0)]
        wanted = 4 + (2 if method.on_cond else 3) if method.combines else None
        assert sums([chain]) == [wanted], method.name


def test_where_there_is_nothing_to_add() -> None:
    four = [[4.0] * STEPS]
    cfg, igg = ("ARGuidanceCFG", four, 0), ("ARGuidanceIGG", four, 0)
    early = ("ARGuidanceCFG", [[4.0, 4.0, None]], 0)
    late = ("ARGuidanceIGG", [[None, None, 4.0]], 0)
    cases = [
        ([cfg, igg], 8),
        ([cfg, ("ARGuidanceSSG", four, 0), ("ARKeepScales", None, 0), igg], 8),
        ([igg, ("ARGuidanceIGG", [[4.0] * 3], 0)], 8),  # another number of steps is drawn there
        ([cfg], None),
        ([cfg, ("ARGuidanceIGG", four, 4)], None),  # bypassed
        ([("ARGuidanceCFG", four, 2), igg], None),
        ([("ARGuidanceCFG", None, 0), igg], None),  # a link gives its scale
        ([early, late], None),  # never at once
        ([cfg, ("ARGuidanceSSG", four, 0)], None),  # it has nothing to add up
    ]
    assert sums([chain for chain, _ in cases]) == [wanted for _, wanted in cases]
