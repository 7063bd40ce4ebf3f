"""The pack's nodes in real hosts: from files to images, and what an artist sees when something is wrong."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ar_guidance.tests.hosts.graphs import cfg, generate, node
from ar_guidance.tests.hosts.running import RunningHost, run_inside
from ar_guidance.tests.tiny import tiny_var
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "cases" / "var" / "d2_256like"
BUNDLED = Path(__file__).resolve().parents[2] / "bundled" / "emoji_var.safetensors"
TRANSFORMER, TOKENIZER = "golden/var_d2.pth", "golden/vae_ch32v48z8.pth"


@pytest.fixture
def golden(host: RunningHost) -> RunningHost:
    """The host with the golden case's checkpoint files in its model folders, one level down."""
    for folder, name in (("ar_checkpoints", TRANSFORMER), ("ar_tokenizers", TOKENIZER)):
        target = host.models / folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(GOLDEN / target.name, target)
    return host


def put(host: RunningHost, folder: str, name: str, content: Any, metadata=None) -> str:
    """Save a state dict (or bytes) as a model file; its name as the loader node lists it."""
    path = host.models / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif name.endswith(".safetensors"):
        save_file({k: v.clone().contiguous() for k, v in content.items()}, path, metadata)
    else:
        torch.save(content, path)
    return name


def images(host: RunningHost, prompt: dict) -> np.ndarray:
    """Run a prompt that must succeed; its images (B, H, W, 3) in 0-1."""
    result = host.run(prompt)
    assert (result.status, result.error) == ("success", "")
    files = [Image.open(io.BytesIO(host.client.image(image))) for image in result.images]
    return np.stack([np.asarray(file.convert("RGB"), np.float32) / 255 for file in files])


def same_image(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two images are decoded from the same tokens: decoders round by batch size, at most a step of 255."""
    return a.shape == b.shape and np.abs(a - b).max() < 1.5 / 255


def refusal(host: RunningHost, prompt: dict) -> str:
    """Run a prompt that must fail; the first line of what the user reads. The host works afterwards."""
    result = host.run(prompt)
    assert result.status in ("error", "refused"), result
    assert host.client.system_stats()["system"]
    return result.error.splitlines()[0]


# --- images ---------------------------------------------------------------------------------------------------------


def test_official_layout_gives_the_official_image(golden: RunningHost) -> None:
    expected = load_file(GOLDEN / "expected.safetensors")["image"][0].movedim(0, -1).numpy()
    prompt = generate(TRANSFORMER, TOKENIZER, "3", scale=2.5, temperature=0.0)
    image = images(golden, prompt)[0]
    assert image.shape == expected.shape
    assert np.abs(image - expected).max() <= 1 / 255 + 1e-4  # a PNG has 8 bits


def test_transformer_and_tokenizer_in_one_file(golden: RunningHost) -> None:
    both = {
        "trainer": {
            "var_wo_ddp": torch.load(GOLDEN / "var_d2.pth", weights_only=True),
            "vae_local": torch.load(GOLDEN / "vae_ch32v48z8.pth", weights_only=True),
        }
    }
    name = put(golden, "ar_checkpoints", "ar-ckpt-last.pth", both)
    one = images(golden, generate(name, classes="3", temperature=0.0))
    two = images(golden, generate(TRANSFORMER, TOKENIZER, "3", temperature=0.0))
    assert np.array_equal(one, two)


def test_bundled_model_makes_images_of_every_class_asked(host: RunningHost) -> None:
    made = images(host, generate(classes="0, 5\n10", batch_size=2))
    assert made.shape == (6, 64, 64, 3)
    assert made.std() > 0.05


def test_same_seed_same_image_and_a_batch_is_its_images(host: RunningHost) -> None:
    batch = images(host, generate(seed=5, batch_size=3))
    alone = images(host, generate(seed=5, batch_size=1))
    one_by_one = generate(seed=5, batch_size=3)
    one_by_one["decode"]["inputs"]["images_at_once"] = 1
    assert np.array_equal(images(host, one_by_one)[0], alone[0])
    assert not np.array_equal(batch[0], batch[1])
    assert not np.array_equal(alone, images(host, generate(seed=6)))


def test_one_sampler_feeds_several_chains(host: RunningHost) -> None:
    prompt = generate(seed=2, scale=1.0)
    prompt["strong"] = cfg(["sampler", 0], 8.0)
    prompt["decode2"] = node("ARDecode", ar_sampling=["strong", 0])
    prompt["save2"] = node("SaveImage", images=["decode2", 0], filename_prefix="strong")
    made = images(host, prompt)
    assert len(made) == 2 and not np.array_equal(made[0], made[1])


def test_no_guidance_node_is_scale_one(host: RunningHost) -> None:
    bare = generate(seed=3)
    bare["decode"]["inputs"]["ar_sampling"] = ["sampler", 0]
    assert np.array_equal(images(host, bare), images(host, generate(seed=3, scale=1.0)))


def test_classes_by_name_and_no_class(host: RunningHost) -> None:
    label = host.object_info("ARClassCondition")["ARClassCondition"]["input"]["required"]["label"]
    options = label[1]["options"] if isinstance(label[1].get("options"), list) else label[0]
    assert len(options) > 1000  # ImageNet and the bundled model's own
    prompt = generate(classes="")
    prompt["condition"]["inputs"]["label"] = options[0]
    by_label = images(host, prompt)
    name = options[0].partition(": ")[2]
    with safe_open(BUNDLED, framework="pt") as file:
        number = json.loads(file.metadata()["labels"]).index(name)
    assert np.array_equal(by_label, images(host, generate(classes=str(number))))
    assert np.array_equal(by_label, images(host, generate(classes=name.upper())))
    images(host, generate(classes="none"))


def test_previews_and_progress(host: RunningHost) -> None:
    result = host.run(generate(seed=11, batch_size=8))
    steps = [p for p in result.progress if p.node == "decode"]
    assert steps and steps[-1].value == steps[-1].total
    assert result.previews
    assert Image.open(io.BytesIO(result.previews[-1].image)).width >= 64


def test_cancel_then_run_again(host: RunningHost) -> None:
    result = host.run_and_cancel(generate(seed=21, batch_size=160), "decode")
    assert result.status == "interrupted"
    images(host, generate(seed=21))


# --- bad input --------------------------------------------------------------------------------------------------------


def test_half_a_file(golden: RunningHost) -> None:
    data = (GOLDEN / "var_d2.pth").read_bytes()
    name = put(golden, "ar_checkpoints", "half.pth", data[: len(data) // 2])
    message = refusal(golden, generate(name, TOKENIZER))
    assert "half.pth: this is not a complete weight file" in message
    images(golden, generate(TRANSFORMER, TOKENIZER, "3"))


def test_unknown_file(host: RunningHost) -> None:
    name = put(host, "ar_checkpoints", "sdxl.safetensors", {"unet.conv.weight": torch.zeros(4)})
    assert "sdxl.safetensors: no known transformer in this file" in refusal(host, generate(name))


def test_transformer_where_a_tokenizer_is_asked(golden: RunningHost) -> None:
    shutil.copy(GOLDEN / "var_d2.pth", golden.models / "ar_tokenizers" / "wrong.pth")
    message = refusal(golden, generate(TRANSFORMER, "wrong.pth"))
    assert "wrong.pth: this is a VAR transformer, not a tokenizer" in message


def test_tokenizer_where_a_transformer_is_asked(golden: RunningHost) -> None:
    shutil.copy(GOLDEN / "vae_ch32v48z8.pth", golden.models / "ar_checkpoints" / "vae.pth")
    message = refusal(golden, generate("vae.pth", TOKENIZER))
    assert "vae.pth: this is a VAR image tokenizer, not a transformer" in message


def test_no_tokenizer_chosen(golden: RunningHost) -> None:
    message = refusal(golden, generate(TRANSFORMER))
    assert "var_d2.pth: the image tokenizer is not in this file" in message


def test_a_pair_that_does_not_belong_together(golden: RunningHost) -> None:
    codec = tiny_var().codec.state_dict()
    name = put(golden, "ar_tokenizers", "tiny.safetensors", codec, {"norm_groups": "2"})
    message = refusal(golden, generate(TRANSFORMER, name))
    assert "do not belong together" in message and "48 tokens" in message


def test_missing_keys_and_nan(host: RunningHost) -> None:
    model = tiny_var()
    codec = put(
        host, "ar_tokenizers", "t.safetensors", model.codec.state_dict(), {"norm_groups": "2"}
    )
    state = {k: v.clone() for k, v in model.network.state_dict().items()}
    state["head.bias"][0] = float("nan")
    name = put(host, "ar_checkpoints", "nan.safetensors", state)
    assert "head.bias holds values that are not numbers" in refusal(host, generate(name, codec))
    del state["head.bias"]
    name = put(host, "ar_checkpoints", "lacking.safetensors", state)
    assert "lacks head.bias" in refusal(host, generate(name, codec))


def test_a_file_with_python_objects(host: RunningHost, tmp_path: Path) -> None:
    class Namespace:
        pass

    Namespace.__module__, Namespace.__qualname__ = "argparse", "Namespace"
    import argparse

    name = put(host, "ar_checkpoints", "args.pth", {"args": argparse.Namespace(depth=16)})
    assert "could run code" in refusal(host, generate(name))


def test_class_out_of_range_and_unknown(golden: RunningHost) -> None:
    prompt = generate(TRANSFORMER, TOKENIZER, "10")
    assert "class 10 is out of range: var_d2.pth has classes 0 to 9" in refusal(golden, prompt)
    assert "'zeppelin' is not a class of" in refusal(golden, generate(classes="zeppelin"))
    prompt["condition"]["inputs"] |= {"classes": "", "label": "ImageNet: goldfish (1)"}
    assert "has no class names" in refusal(golden, prompt)


def test_a_condition_made_for_another_model(golden: RunningHost) -> None:
    prompt = generate(classes="0")
    prompt["other"] = node("ARLoadCheckpoint", checkpoint=TRANSFORMER, tokenizer=TOKENIZER)
    prompt["sampler"]["inputs"]["ar_model"] = ["other", 0]
    assert "connect both nodes to the same AR Load Checkpoint" in refusal(golden, prompt)


def test_batch_zero(host: RunningHost) -> None:
    assert "batch_size" in refusal(host, generate(batch_size=0))


def test_file_that_went_away(host: RunningHost) -> None:
    message = refusal(host, generate("gone.safetensors"))
    assert "gone.safetensors" in message


def test_a_schedule_list_of_another_length_is_fitted_to_the_steps(host: RunningHost) -> None:
    made = []
    for values in ("1, 4", "1, 1.5, 2, 2.5, 3, 3.5, 4"):
        prompt = generate()
        prompt["cfg"] = cfg(["sampler", 0], 3.0, schedule="list", values=values)
        made.append(images(host, prompt))
    assert same_image(*made)
    prompt["cfg"] = cfg(["sampler", 0], 3.0, schedule="list", values="one, two")
    assert "is not a list of numbers" in refusal(host, prompt)


def test_only_weight_files_are_listed(host: RunningHost) -> None:
    put(host, "ar_checkpoints", "README.md", b"hello")
    info = host.object_info("ARLoadCheckpoint")["ARLoadCheckpoint"]["input"]["required"]
    options = info["checkpoint"][1].get("options") or info["checkpoint"][0]
    assert options[0] == "bundled: emoji 64x64" and "README.md" not in options


def test_a_model_that_does_not_fit_leaves_nothing_stranded(host: RunningHost) -> None:
    files = GOLDEN / "var_d2.pth", GOLDEN / "vae_ch32v48z8.pth"
    assert "stayed behind" in run_inside(host.process.host, "partial_load", *files)
