"""What arrives by link, in real hosts: every input of every node, and the prompt after a refusal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ar_guidance.tests.hosts.graphs import generate, node
from ar_guidance.tests.hosts.running import RunningHost, run_inside
from ar_guidance.tools.dev.hosts import BY_VERSION


@pytest.mark.host
@pytest.mark.parametrize("version", sorted(BY_VERSION))
def test_every_input_of_every_node(version: str) -> None:
    printed = run_inside(BY_VERSION[version], "arriving_by_schema", 20)
    counts = json.loads(printed.splitlines()[-1])
    assert counts["values"] > 2000 and 0 < counts["refused"] < counts["values"]


def given(**values: Any) -> dict[str, Any]:
    """The bundled model's graph with nodes that send these values into AR Sampler."""
    prompt = generate()
    for name, value in values.items():
        prompt[f"given {name}"] = node("Given", value=json.dumps(value))
        prompt["sampler"]["inputs"][name] = [f"given {name}", 0]
    return prompt


@pytest.mark.parametrize("value", [1025, 2.5, 10**12, -1])
def test_a_number_by_link_is_refused_and_the_next_prompt_runs(
    host: RunningHost, value: float
) -> None:
    refused = host.run(given(batch_size=value), timeout=60)
    assert refused.status == "error"
    assert "AR Sampler: batch_size is" in refused.error
    done = host.run(generate(classes="1"), timeout=120)
    assert (done.status, len(done.images)) == ("success", 1)


@pytest.mark.parametrize("name", ["temperature", "top_p"])
def test_below_zero_only_minus_one_means_as_published(host: RunningHost, name: str) -> None:
    assert f"{name} is -0.5: below 0 there is only -1" in host.run(given(**{name: -0.5})).error
    assert host.run(given(**{name: -1.0})).status == "success"


def test_a_loader_whose_file_is_linked_loads_once(host: RunningHost) -> None:
    prompt = generate(classes="2")
    prompt["file"] = node("Given", value=json.dumps("bundled: emoji 64x64"))
    prompt["load"]["inputs"]["checkpoint"] = ["file", 0]
    first = host.run(prompt)
    assert first.status == "success", first.error
    prompt["cfg"]["inputs"]["scale"] = 4.0
    cached: list[str] = []

    def note(kind: str, data: dict[str, Any]) -> None:
        if kind == "execution_cached":
            cached.extend(data["nodes"])

    assert host.run(prompt, on_event=note).status == "success"
    assert "load" in cached
    header = host.client.image(first.images[0])
    assert b"NaN" not in header


def test_an_input_of_another_version_is_ignored_or_named(host: RunningHost) -> None:
    prompt = generate()
    prompt["cfg"]["inputs"]["of_another_version"] = 3
    assert host.run(prompt).status == "success"
    prompt["three"] = node("Given", value="3")
    prompt["cfg"]["inputs"]["of_another_version"] = ["three", 0]
    assert "AR Guidance: CFG has no input 'of_another_version'" in host.run(prompt).error


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ([1, 64, 64, 1], ""),
        ([64, 64, 3], ""),
        ([1, 1, 64, 64, 4], ""),
        ([1, 1, 64, 3], ""),
        ([0, 64, 64, 3], "empty image"),
        ([1, 64, 64, 7], "is not an image"),
    ],
)
def test_images_of_every_form_become_tokens(
    host: RunningHost, shape: list[int], words: str
) -> None:
    prompt = {
        "load": generate()["load"],
        "image": node("Given", value=json.dumps({"shape": shape, "fill": 0.5})),
        "tokens": node("ARImageToTokens", image=["image", 0], ar_model=["load", 0], fit="crop"),
        "decode": node("ARTokensToImage", ar_tokens=["tokens", 0], ar_model=["load", 0]),
        "save": node("SaveImage", images=["decode", 0], filename_prefix="test"),
    }
    done = host.run(prompt)
    assert words in done.error and (done.status == "success") == (not words), done
