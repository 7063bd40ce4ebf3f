"""Lumina-mGPT 2 in real hosts: from a checkpoint folder and a prompt to the official image, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ar_guidance.tests.hosts.graphs import generate, node
from ar_guidance.tests.hosts.running import RunningHost, run_inside
from ar_guidance.tests.hosts.test_nodes import images, refusal
from ar_guidance.tests.hosts.test_tokens import soft
from safetensors.torch import load_file

CASE = Path(__file__).resolve().parents[1] / "golden" / "cases" / "lumina_mgpt2" / "t2i_decay"
INDEX, CODEC = "model.safetensors.index.json", "golden-movqgan.ckpt"
PROMPT = "waterfall, photograph"


def install(host: RunningHost, name: str, lacking: str = "nothing") -> str:
    """The golden case as a user keeps it: a folder of its own; the name of its index as the loader node lists it."""
    folder, codecs = host.models / "ar_checkpoints" / name, host.models / "ar_tokenizers"
    left_out = shutil.ignore_patterns("expected*", "case.json", "movqgan", lacking)
    shutil.copytree(CASE, folder, ignore=left_out, dirs_exist_ok=True)
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    settings["latent_grid"] = [8, 4]  # the case's image; a release makes its largest by default
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    shutil.copy(CASE / "movqgan" / "270M" / "movqgan_270M.ckpt", codecs / CODEC)
    return f"{name}/{INDEX}"


@pytest.fixture
def lumina(host: RunningHost) -> str:
    return install(host, "golden-lumina")


def draw(checkpoint: str, prompt: str = PROMPT, negative: str = "", **settings: Any) -> dict:
    """Load, prompt, sampler, CFG, decode, save; greedy unless told otherwise."""
    settings = {"scale": 9.0, "temperature": 0.0} | settings
    graph = generate(checkpoint, CODEC, **settings)
    graph["condition"] = node(
        "ARPromptCondition", ar_model=["load", 0], prompt=prompt, negative_prompt=negative
    )
    return graph


def test_the_official_image(host: RunningHost, lumina) -> None:
    image = images(host, draw(lumina))[0]
    official = load_file(CASE / "expected.safetensors")["image_u8"][0].movedim(0, -1).numpy()
    assert image.shape == official.shape == (64, 32, 3)
    assert np.abs(image - official / 255).max() <= 1 / 255 + 1e-4


def test_prompts_of_a_batch_are_drawn_as_if_alone(host: RunningHost, lumina) -> None:
    prompt = draw(lumina, f"{PROMPT}\n---\na red apple on the table, seen from above")
    prompt["decode"]["inputs"]["images_at_once"] = 1  # and not as if padded to the longer one
    both = images(host, prompt)
    assert np.array_equal(both[0], images(host, draw(lumina))[0])
    assert len(both) == 2 and not np.array_equal(both[0], both[1])


def test_guidance_and_negative_prompt_act(host: RunningHost, lumina) -> None:
    plain = images(host, draw(lumina))
    assert not np.array_equal(plain, images(host, draw(lumina, negative="a blurry photograph")))
    graph = draw(lumina)
    graph["cfg"] = soft(["sampler", 0], scale=9.0, normalise=False, schedule="family default")
    assert not np.array_equal(plain, images(host, graph))
    graph["cfg"] = soft(["sampler", 0], scale=9.0, strength=0.0, schedule="family default")
    assert np.array_equal(plain, images(host, graph))


def test_progress_counts_the_tokens_of_the_image(host: RunningHost, lumina) -> None:
    result = host.run(draw(lumina, temperature=1.0, seed=5))
    steps = [p for p in result.progress if p.node == "decode"]
    assert steps[-1].value == steps[-1].total == 32
    assert result.previews


def test_a_checkpoint_of_several_files_is_listed_once(host: RunningHost, lumina) -> None:
    info = host.object_info("ARLoadCheckpoint")["ARLoadCheckpoint"]["input"]["required"]
    kind, settings = info["checkpoint"]
    names = settings["options"] if kind == "COMBO" else kind
    assert [name for name in names if "lumina" in name and name.endswith("json")] == [lumina]
    assert not [name for name in names if "-of-" in name or name.endswith("config.json")]


def test_a_model_that_does_not_fit_leaves_nothing_stranded(host: RunningHost, lumina) -> None:
    codec = host.models / "ar_tokenizers" / CODEC
    models = host.models / "ar_checkpoints" / lumina, codec
    assert "stayed behind" in run_inside(host.process.host, "partial_load", *models)


# --- two panels -------------------------------------------------------------------------------------------------------


def paneled(checkpoint: str, task: str = "depth map to image", **settings: Any) -> dict:
    """The case's image of 8 x 4 tokens as two panels of 4 x 4, a blue one above."""
    inputs = {"panel": "", "both_panels": False, "fit": "crop"} | settings
    graph = draw(checkpoint, scale=4.0)
    graph["upper"] = node("EmptyImage", width=48, height=48, batch_size=1, color=0x3366CC)
    graph["panels"] = node(
        "ARDualPanel", ar_sampling=["sampler", 0], image=["upper", 0], task=task, **inputs
    )
    graph["cfg"]["inputs"]["ar_sampling"] = ["panels", 0]
    return graph


def test_the_lower_panel_is_drawn_and_handed_on(host: RunningHost, lumina) -> None:
    lower, both = images(host, paneled(lumina)), images(host, paneled(lumina, both_panels=True))
    assert lower.shape == (1, 32, 32, 3) and both.shape == (1, 64, 32, 3)
    assert np.array_equal(both[:, 32:], lower)
    plain = images(host, draw(lumina, scale=4.0))
    assert not np.array_equal(plain[:, 32:], lower)  # it sees the upper one


def test_the_upper_panel_is_the_images_own(host: RunningHost, lumina) -> None:
    """Its tokens are those of the image alone, whatever is drawn below."""
    first = images(host, paneled(lumina, both_panels=True))
    other = images(host, paneled(lumina, "subject", both_panels=True))
    near = np.abs(first[:, :16] - other[:, :16]).max()  # the decoder looks a little over the edge
    assert near < np.abs(first[:, 40:] - other[:, 40:]).max()


def test_the_task_acts(host: RunningHost, lumina) -> None:
    depth = images(host, paneled(lumina))
    assert not np.array_equal(depth, images(host, paneled(lumina, "subject")))


def test_panels_that_cannot_be(host: RunningHost, lumina) -> None:
    assert "say what the upper panel shows" in refusal(host, paneled(lumina, "edit in own words"))
    assert "Leave panel empty" in refusal(host, paneled(lumina, panel="depth"))
    message = refusal(host, paneled(lumina, "edit in own words", panel="a <map>"))
    assert "leave them out" in message
    graph = paneled(lumina)
    graph["more"] = node(
        "ARDualPanel", **(graph["panels"]["inputs"] | {"ar_sampling": ["panels", 0]})
    )
    graph["cfg"]["inputs"]["ar_sampling"] = ["more", 0]
    assert "already keeps tokens" in refusal(host, graph)
    graph = generate()
    graph["upper"] = node("EmptyImage", width=48, height=48, batch_size=1, color=1)
    graph["panels"] = node(
        "ARDualPanel",
        ar_sampling=["sampler", 0],
        image=["upper", 0],
        task="subject",
        panel="",
        both_panels=False,
        fit="crop",
    )
    graph["cfg"]["inputs"]["ar_sampling"] = ["panels", 0]
    assert "AR Dual Panel is for Lumina-mGPT 2" in refusal(host, graph)


# --- bad input --------------------------------------------------------------------------------------------------------


def test_files_that_are_missing(host: RunningHost) -> None:
    silent = install(host, "no-tokenizer", lacking="tokenizer.json")
    message = refusal(host, draw(silent))
    assert "no-tokenizer: this model reads text itself" in message and "tokenizer.json" in message
    broken = install(host, "no-shard", lacking="model-00002-of-00003.safetensors")
    assert "1 of its 3 files are missing" in refusal(host, draw(broken))


def test_prompts_that_cannot_be_drawn(host: RunningHost, lumina) -> None:
    assert "the prompt is empty" in refusal(host, draw(lumina, " \n---\n "))
    assert "room for" in refusal(host, draw(lumina, "word " * 3000))


def test_the_wrong_condition_node(host: RunningHost, lumina) -> None:
    graph = draw("bundled: emoji 64x64")
    graph["load"]["inputs"]["tokenizer"] = "automatic"
    assert "does not read text itself" in refusal(host, graph)
    graph = generate(lumina, CODEC, classes="1")
    assert "use AR Prompt Condition instead" in refusal(host, graph)


def test_a_size_it_has_no_words_for(host: RunningHost, lumina) -> None:
    graph = draw(lumina)
    graph["load"]["inputs"]["picture_size"] = 72
    assert "picture_size 72 cannot be made" in refusal(host, graph)
    graph["load"]["inputs"]["picture_size"] = 32
    assert images(host, graph).shape == (1, 32, 32, 3)
