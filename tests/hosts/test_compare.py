"""AR Compare in real hosts: chains and images on one sheet, and what it refuses."""

from __future__ import annotations

from ar_guidance.tests.hosts.graphs import generate, node
from ar_guidance.tests.hosts.running import RunningHost
from ar_guidance.tests.hosts.test_nodes import images, refusal


def compared(**more: object) -> dict:
    """A run without and one with CFG, of the same seed."""
    prompt = generate(seed=4, batch_size=2)
    prompt["compare"] = node("ARCompare", run_1=["sampler", 0], run_2=["cfg", 0], **more)
    prompt["compare"]["inputs"].setdefault("labels", "")
    prompt["compare"]["inputs"].setdefault("title", "")
    prompt["save"]["inputs"]["images"] = ["compare", 0]
    return prompt


def test_chains_and_images_are_compared(host: RunningHost) -> None:
    prompt = compared(run_3=["decode", 0])
    (sheet,) = images(host, prompt)
    height, width, _ = sheet.shape
    assert width > 3 * 160 and height > 2 * 160  # three runs of two images, 64 pixels enlarged
    first, last = sheet[:, : width // 2], sheet[:, width // 2 :]
    assert first.std() > 0.01 and last.std() > 0.01


def test_it_runs_with_nothing_behind_it(host: RunningHost) -> None:
    prompt = compared()
    del prompt["save"], prompt["decode"]
    result = host.run(prompt)
    assert (result.status, result.error) == ("success", "")
    (sent,) = result.outputs["compare"]["ar_compare"]
    assert sent["columns"] == ["no guidance", "CFG 3"] and len(sent["rows"]) == 2
    assert [len(own) for own in sent["images"]] == [2, 2]


def test_what_it_refuses(host: RunningHost) -> None:
    alone = compared()
    del alone["compare"]["inputs"]["run_2"]
    assert "needs at least two runs" in refusal(host, alone)
    assert "labels has 3 lines for 2 runs" in refusal(host, compared(labels="a\nb\nc"))
