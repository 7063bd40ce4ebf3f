"""SimpleAR in real hosts: from a folder of files and a prompt to an image, and what does not fit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ar_guidance.tests.hosts.graphs import generate, node
from ar_guidance.tests.hosts.running import RunningHost, run_inside
from ar_guidance.tests.hosts.test_compose import blend, region, with_mask
from ar_guidance.tests.hosts.test_nodes import images, put, refusal
from safetensors.torch import load_file
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordLevel

CASE = Path(__file__).resolve().parents[1] / "golden" / "cases" / "simplear" / "untied"
FACTS = json.loads((CASE / "case.json").read_text(encoding="utf-8"))
EXPECTED = load_file(CASE / "expected.safetensors")
FOLDER, CODEC = "simplear", "Cosmos-1.0-Tokenizer-DV8x16x16"
SCALE, SIDE = FACTS["guidance"]["scale"], FACTS["config"]["image_size"]


def word_tokenizer(extra: int = 0) -> str:
    """A tokenizer.json that gives the case's ids: word `w5` is number 5, and the style in front of a prompt is left out."""
    special = FACTS["config"]["special_tokens"]
    words = {f"w{i}": i for i in range(min(special.values()))}
    words |= {f"more{i}": FACTS["config"]["n_text"] + i for i in range(extra)}
    tokenizer = Tokenizer(WordLevel(words, unk_token="w0"))
    tokenizer.normalizer = normalizers.Replace("A highly realistic image of ", "")
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = [
        {"id": id, "content": name, "special": True}
        | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        for name, id in special.items()
    ]
    return json.dumps(content)


def words(name: str) -> str:
    """The text between the special tokens of a prompt of the case."""
    return " ".join(f"w{id}" for id in EXPECTED[name][0, 1:-1].tolist())


@pytest.fixture
def simplear(host: RunningHost) -> tuple[str, str]:
    """The golden case's files as a user would lay them out, with a text tokenizer beside the network."""
    folder = host.models / "ar_checkpoints" / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("model.safetensors", "config.json", "generation_config.json"):
        shutil.copy(CASE / name, folder)
    (folder / "tokenizer.json").write_text(word_tokenizer(), encoding="utf-8")
    codec = host.models / "ar_tokenizers" / CODEC
    shutil.copytree(CASE / CODEC, codec, dirs_exist_ok=True)
    return f"{FOLDER}/model.safetensors", f"{CODEC}/decoder.jit"


def draw(
    files: tuple[str, str], prompt: str, negative: str = "", **settings: Any
) -> dict[str, Any]:
    graph = generate(*files, scale=SCALE, **({"temperature": 0.0} | settings))
    graph["load"]["inputs"]["picture_size"] = SIDE
    graph["condition"] = node(
        "ARPromptCondition", ar_model=["load", 0], prompt=prompt, negative_prompt=negative
    )
    return graph


def test_the_official_image_from_text(host: RunningHost, simplear) -> None:
    negative = words("negative_ids.0")
    both = f"w1 w2 w3 w4 w5 w6 w7 w8 w9\n---\n{words('prompt_ids.0')}"
    official = (EXPECTED["image"][0].movedim(0, -1).numpy() * 0.5 + 0.5).clip(0, 1)
    graph = draw(simplear, both, negative)
    graph["decode"]["inputs"]["images_at_once"] = 1
    drawn = images(host, graph)
    assert drawn.shape == (2, SIDE, SIDE, 3)
    assert np.abs(drawn[1] - official).max() <= 1 / 255 + 1e-4
    alone = images(host, draw(simplear, words("prompt_ids.0"), negative))
    assert np.array_equal(alone[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[1])


def test_the_published_negative_text_is_the_default(host: RunningHost, simplear) -> None:
    published = (
        "An image of aerial view, overexposed, low quality, deformation, a poor composition, bad hands, bad teeth,"
        " bad eyes, bad limbs, distortion"
    )
    default = images(host, draw(simplear, "w5 w6"))
    assert np.array_equal(default, images(host, draw(simplear, "w5 w6", published)))
    assert not np.array_equal(default, images(host, draw(simplear, "w5 w6", "w7")))


def test_prompts_share_an_image(host: RunningHost, simplear) -> None:
    """AR Region and AR Blend on prompts the model reads itself, token by token."""
    first, second = "w1 w2 w3 w4", "w5 w6 w7"
    alone = images(host, draw(simplear, second))

    def shared(made: dict[str, Any], x: int = 0) -> np.ndarray:
        graph = with_mask(draw(simplear, first), x=x)
        graph["second"] = node(
            "ARPromptCondition", ar_model=["load", 0], prompt=second, negative_prompt=""
        )
        graph["made"] = made
        graph["sampler"]["inputs"]["ar_conditioning"] = ["made", 0]
        return images(host, graph)

    assert np.array_equal(shared(region()), alone)
    assert np.array_equal(shared(blend(weight=1.0)), alone)
    assert not np.array_equal(shared(region(), x=48), alone)


@pytest.fixture
def tied(host: RunningHost, simplear) -> str:
    """The same network with one matrix for embedding and output, in a file that holds it once."""
    folder = host.models / "ar_checkpoints" / FOLDER
    weights = load_file(folder / "model.safetensors")
    shutil.copytree(folder, folder.with_name("tied"), dirs_exist_ok=True)
    shutil.copytree(folder, folder.with_name("twice"), dirs_exist_ok=True)
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    put(host, "ar_checkpoints", "twice/model.safetensors", weights)
    del weights["lm_head.weight"]
    return put(host, "ar_checkpoints", "tied/model.safetensors", weights)


def test_one_matrix_for_embedding_and_output(host: RunningHost, simplear, tied) -> None:
    drawn = [
        images(host, draw((name, simplear[1]), "w5 w6", "w7"))
        for name in (tied, "twice/model.safetensors", simplear[0])
    ]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


@pytest.mark.parametrize("one_matrix", [False, True])
def test_a_model_that_does_not_fit_leaves_nothing_stranded(
    host: RunningHost, simplear, tied, one_matrix
) -> None:
    name = tied if one_matrix else simplear[0]
    files = host.models / "ar_checkpoints" / name, host.models / "ar_tokenizers" / simplear[1]
    printed = run_inside(host.process.host, "partial_load", *files)
    assert "stayed behind" in printed
    late = "none in this host" if host.version == "0.3.75" else "the same"
    assert f"late weights: {late}" in printed


def test_softcfg_acts(host: RunningHost, simplear) -> None:
    graph = draw(simplear, "w5 w6", seed=3, temperature=1.0)
    graph["load"]["inputs"]["picture_size"] = 128
    plain = images(host, graph)
    graph["cfg"] = node(
        "ARGuidanceSoftCFG",
        ar_sampling=["sampler", 0],
        scale=SCALE,
        schedule="constant",
        start=0.0,
        end=1.0,
        power=1.0,
        values="",
        strength=0.0,
        normalise=False,
        perturb="values",
        confidence="conditional",
        convention="paper",
        floor=-1.0,
    )
    assert np.array_equal(plain, images(host, graph))
    graph["cfg"]["inputs"]["strength"] = 1.0
    assert not np.array_equal(plain, images(host, graph))


def test_what_does_not_fit(host: RunningHost, simplear) -> None:
    folder = host.models / "ar_checkpoints" / FOLDER
    too_long = refusal(host, draw(simplear, "w5 " * 1100))
    assert "the prompt is too long" in too_long and "room for" in too_long
    graph = draw(simplear, "w5")
    graph["load"]["inputs"]["picture_size"] = 16 * 40
    assert "take a smaller picture_size" in refusal(host, graph)
    graph["load"]["inputs"]["picture_size"] = 40
    assert "Take 32 or 48" in refusal(host, graph)
    (folder / "tokenizer.json").write_text(word_tokenizer(extra=2), encoding="utf-8")
    changed = refusal(
        host, draw(simplear, "w5", seed=1)
    )  # by the loader or, where that is cached, by the prompt
    assert "72 text tokens and the 120 codes" in changed or "has 72 tokens" in changed
    (folder / "model.safetensors").touch()
    wrong = refusal(host, draw(simplear, "w5", seed=1))
    assert "do not belong together" in wrong and "72 text tokens and the 120 codes" in wrong
    (folder / "tokenizer.json").unlink()
    missing = refusal(host, draw(simplear, "w5", seed=2))
    assert "tokenizer.json" in missing and "Download" in missing


def test_a_jit_file_that_is_no_cosmos_archive(host: RunningHost, simplear) -> None:
    name = put(host, "ar_tokenizers", "other/decoder.jit", b"no archive")
    assert "does not begin like one" in refusal(host, draw((simplear[0], name), "w5"))
    module = torch.jit.script(torch.nn.Linear(2, 2))
    torch.jit.save(module, str(host.models / "ar_tokenizers" / "other" / "linear.jit"))
    message = refusal(host, draw((simplear[0], "other/linear.jit"), "w5"))
    assert "linear.jit: no known tokenizer in this file" in message
