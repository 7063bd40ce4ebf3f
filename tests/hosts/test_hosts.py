"""Both hosts start with the pack, run workflows and report errors."""

from __future__ import annotations

import io
import json
from urllib.parse import quote

import pytest
from ar_guidance.tests.hosts.examples import (
    EXAMPLES,
    EXAMPLES_WITH_FILES,
    example,
    flat_colour,
    flat_colour_graph,
    loads_a_file,
)
from ar_guidance.tests.hosts.graphs import generate
from ar_guidance.tests.hosts.running import RunningHost
from ar_guidance.tools.dev.host_process import PACK_FOLDER
from PIL import Image


def test_versions(host: RunningHost) -> None:
    assert host.client.system_stats()["system"]["comfyui_version"] == host.version


def test_pack_is_loaded(host: RunningHost) -> None:
    log = host.process.log_text()
    lines = [line for line in log.splitlines() if PACK_FOLDER in line]
    assert any("seconds" in line for line in lines)
    assert not any("IMPORT FAILED" in line for line in lines)


def test_workflows_and_help_pages_are_served(host: RunningHost) -> None:
    assert set(EXAMPLES) <= set(host.client.get_json("/workflow_templates")[PACK_FOLDER])
    page = host.client.request(f"/extensions/{PACK_FOLDER}/docs/ARSampler.md").decode()
    assert page.startswith("# AR Sampler")


@pytest.mark.parametrize("stem", EXAMPLES + EXAMPLES_WITH_FILES)
def test_thumbnail_is_served(host: RunningHost, stem: str) -> None:
    served = host.client.request(f"/api/workflow_templates/{PACK_FOLDER}/{quote(stem)}.jpg")
    thumbnail = Image.open(io.BytesIO(served))
    thumbnail.verify()
    assert thumbnail.format == "JPEG" and thumbnail.width >= 300
    assert len(served) <= 40_000


def test_core_nodes_make_an_image(host: RunningHost) -> None:
    graph = flat_colour_graph()
    result = host.run(flat_colour(), graph)
    assert (result.status, result.error) == ("success", "")
    (reference,) = result.images
    image = Image.open(io.BytesIO(host.client.image(reference)))
    assert image.size == (96, 64)
    assert image.getpixel((5, 5)) == (0x33, 0x66, 0xCC)
    assert (
        json.loads(image.info["workflow"]) == graph
    )  # what dropping the image on the canvas restores


@pytest.mark.parametrize(
    ("preset", "words"),
    [
        ("AliTok-B CFG", "is for models of the family alitok, and this one is var"),
        (
            "VAR-d99 IGG",
            "no preset 'VAR-d99 IGG' in this version of the pack; a newer one may have it",
        ),
    ],
)
def test_a_papers_preset_is_refused_where_it_does_not_belong(
    host: RunningHost, preset: str, words: str
) -> None:
    outcome = host.run(generate(preset=preset))
    assert outcome.status != "success" and words in outcome.error
    fitting = host.run(generate(preset="VAR-d30 IGG"))  # another size of the right family
    assert fitting.status == "success"
    [note] = fitting.outputs["decode"]["ar_notes"]
    assert "'VAR-d30 IGG'" in note and "this network is another" in note


def test_refusal_names_the_node(host: RunningHost) -> None:
    prompt = flat_colour()
    prompt["1"]["inputs"]["width"] = -1
    result = host.run(prompt)
    assert result.status == "refused"
    assert result.error.startswith("EmptyImage: ")


@pytest.mark.parametrize("stem", EXAMPLES)
def test_example_runs(host: RunningHost, stem: str) -> None:
    prompt, workflow = example(stem)
    result = host.run(prompt, workflow)
    assert (result.status, result.error) == ("success", "")
    assert result.images
    for reference in result.images:
        Image.open(io.BytesIO(host.client.image(reference))).verify()


@pytest.mark.parametrize("stem", EXAMPLES_WITH_FILES)
def test_example_lacks_nothing_but_its_files(host: RunningHost, stem: str) -> None:
    prompt, workflow = example(stem)
    for node in prompt.values():
        assert node["class_type"] in host.object_info(node["class_type"])
    result = host.run(prompt, workflow)
    if result.status == "error":  # the older host leaves a list of our own to our node
        assert "there is no such file in models/" in result.error
    else:
        assert result.status == "refused"
    loaders = {key for key, node in prompt.items() if loads_a_file(node)}
    assert set(result.node_errors) <= loaders, result.node_errors
    for refused in result.node_errors.values():
        known = {"value_not_in_list", "custom_validation_failed"}  # the latter of a missing image
        assert {error["type"] for error in refused["errors"]} <= known
    notes = [n["widgets_values"][0] for n in workflow["nodes"] if n["type"] == "MarkdownNote"]
    for key in loaders:
        files = [value for value in prompt[key]["inputs"].values() if isinstance(value, str)]
        assert any(file in note for file in files for note in notes)
