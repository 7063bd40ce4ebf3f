"""The text by which the panels know a run again: every node once, however many edits read the same nodes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

MODULE = Path(__file__).resolve().parents[2] / "web" / "js" / "past_runs.mjs"
RUN = "const m = await import({module}); const [p, id] = JSON.parse(process.argv[1]); console.log(m.signature(p, id));"


def signature(prompt: dict, id: str) -> str:
    """What the module answers, run by the node that comes with the browser tests."""
    driver = pytest.importorskip("playwright._impl._driver")
    script = RUN.format(module=json.dumps(MODULE.as_uri()))
    command = [driver.compute_driver_executable()[0], "--input-type=module", "-e", script]
    done = subprocess.run(
        [*command, json.dumps([prompt, id])], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def edits(count: int, scale: float = 3.0) -> dict:
    """A chain of decodes, each of which an edit and a second sampler of the next one read."""
    prompt = {"0": {"class_type": "ARSampler", "inputs": {"scale": scale}}}
    for n in range(1, count + 1):
        source = [str(n - 1), 0]
        prompt[str(n)] = {
            "class_type": "ARInpaint",
            "inputs": {"a": source, "b": source, "c": source},
        }
    return prompt


def test_it_grows_linearly_along_a_chain_of_edits() -> None:
    lengths = [len(signature(edits(n), str(n))) for n in (10, 20, 40)]
    assert lengths[2] - lengths[1] < 2.5 * (lengths[1] - lengths[0])


def test_a_number_far_up_the_chain_changes_it_and_ids_and_order_do_not() -> None:
    assert signature(edits(5), "5") != signature(edits(5, 4.0), "5")
    renamed = {
        "a": {"class_type": "K", "inputs": {"y": ["b", 0], "x": 1}},
        "b": {"class_type": "L", "inputs": {}},
    }
    other = {
        "7": {"class_type": "L", "inputs": {}},
        "9": {"class_type": "K", "inputs": {"x": 1, "y": ["7", 0]}},
    }
    assert signature(renamed, "a") == signature(other, "9") != signature(other, "7")


def test_a_graph_that_feeds_itself_ends() -> None:
    loop = {
        "1": {"class_type": "K", "inputs": {"x": ["2", 0]}},
        "2": {"class_type": "L", "inputs": {"x": ["1", 0]}},
    }
    assert signature(loop, "1")
