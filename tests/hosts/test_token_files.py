"""Token files in real hosts: what is saved comes back, and damaged or foreign files are refused by name."""

from __future__ import annotations

import numpy as np
import pytest
from ar_guidance.tests.hosts.edit_graphs import (
    Json,
)
from ar_guidance.tests.hosts.graphs import generate, node
from ar_guidance.tests.hosts.running import RunningHost
from ar_guidance.tests.hosts.test_nodes import (  # noqa: F401
    GOLDEN,
    TOKENIZER,
    TRANSFORMER,
    golden,
    images,
    refusal,
    same_image,
)
from ar_guidance.tests.hosts.test_tokens import llamagen  # noqa: F401
from safetensors import safe_open
from safetensors.torch import save_file


def saved_tokens(host: RunningHost, prefix: str) -> str:
    """Save an image's tokens; the file's name as the loader lists it."""
    prompt = generate(seed=4)
    prompt["keep"] = node("ARSaveTokens", ar_tokens=["decode", 2], filename_prefix=prefix)
    images(host, prompt)
    file = sorted(host.output.rglob("*.safetensors"))[-1]
    assert file.is_relative_to(host.output)
    return file.relative_to(host.output).as_posix() + " [output]"


def loaded(name: str) -> Json:
    prompt = generate(seed=4)
    prompt["file"] = node("ARLoadTokens", file=name)
    prompt["back"] = node("ARTokensToImage", ar_tokens=["file", 0], ar_model=["load", 0])
    prompt["save"]["inputs"]["images"] = ["back", 0]
    del prompt["decode"], prompt["cfg"], prompt["sampler"], prompt["condition"]
    return prompt


def test_saved_tokens_are_the_image(host: RunningHost) -> None:
    first = images(host, generate(seed=4))
    name = saved_tokens(host, "zz/kept")
    assert np.array_equal(images(host, loaded(name)), first)
    copy = host.input / "mine.safetensors"
    copy.write_bytes((host.output / name.removesuffix(" [output]")).read_bytes())
    info = host.object_info("ARLoadTokens")["ARLoadTokens"]["input"]["required"]["file"]
    options = info[1].get("options") or info[0]
    assert {"mine.safetensors", name} <= set(options)
    assert np.array_equal(images(host, loaded("mine.safetensors")), first)
    assert "zz/kept" in name and "\\" not in name
    assert np.array_equal(images(host, loaded(name.replace("/", "\\"))), first)  # as on Windows


def test_a_name_too_long_for_a_file(host: RunningHost) -> None:
    prompt = generate(seed=4)
    prompt["keep"] = node("ARSaveTokens", ar_tokens=["decode", 2], filename_prefix="x" * 300)
    assert "shorter filename_prefix" in refusal(host, prompt)


def test_no_name_leads_out_of_the_folders(host: RunningHost) -> None:
    assert "leads out of" in refusal(host, loaded("../../secret.safetensors"))
    assert "no such file" in refusal(host, loaded("gone.safetensors"))
    prompt = generate(seed=4)
    prompt["keep"] = node("ARSaveTokens", ar_tokens=["decode", 2], filename_prefix="../../x")
    assert "leads out of" in refusal(host, prompt)


@pytest.mark.parametrize("change", ["no header", "no grids", "short", "range", "floats", "kind"])
def test_damaged_and_foreign_files(host: RunningHost, change: str) -> None:
    name = saved_tokens(host, "zz/whole").removesuffix(" [output]")
    with safe_open(host.output / name, framework="pt") as file:
        facts = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}
    said = "is damaged"
    if change == "no header":
        facts, said = {"format": "pt"}, "not made by AR Save Tokens"
    elif change == "no grids":
        facts["grids"] = "[]"
    elif change == "short":
        tensors["step.3"] = tensors["step.3"][:, :-1].contiguous()
    elif change == "range":
        tensors["step.2"] = tensors["step.2"].long() + (1 << 20)
        said = "tokens are damaged"
    elif change == "floats":
        tensors["step.1"] = tensors["step.1"].float()
    else:
        facts["kind"] = "other"
    save_file(tensors, host.input / f"{change}.safetensors", facts)
    message = refusal(host, loaded(f"{change}.safetensors"))
    assert said in message
    if said == "is damaged":
        assert f"{change}.safetensors" in message
