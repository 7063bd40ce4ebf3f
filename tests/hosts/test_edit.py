"""Tokens in and out in real hosts: variations, in- and out-painting, files, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import torch
from ar_guidance.loaders.detect import find_part
from ar_guidance.loaders.read import read_weights
from ar_guidance.tests.hosts.edit_graphs import (
    SCALES,
    again,
    inpaint,
    keep_scales,
    masked,
    outpaint,
)
from ar_guidance.tests.hosts.graphs import add_mask, generate, node
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
from safetensors.torch import load_file, save_file

# --- tokens and images ----------------------------------------------------------------------------------------------


def test_tokens_decode_to_the_very_image(host: RunningHost) -> None:
    prompt = generate(seed=4, batch_size=2, classes="3, 9")
    first = images(host, prompt)
    prompt["back"] = node("ARTokensToImage", ar_tokens=["decode", 2], ar_model=["load", 0])
    prompt["save"]["inputs"]["images"] = ["back", 0]
    assert np.array_equal(images(host, prompt), first)


def test_any_image_to_tokens_and_back(host: RunningHost) -> None:
    prompt = generate(seed=4)
    first = images(host, prompt)
    prompt["larger"] = node(
        "ImageScale",
        image=["decode", 0],
        upscale_method="bilinear",
        width=256,
        height=192,
        crop="center",
    )
    for source, fit in ((["decode", 0], "crop"), (["larger", 0], "stretch")):
        prompt["tokens"] = node("ARImageToTokens", image=source, ar_model=["load", 0], fit=fit)
        prompt["back"] = node("ARTokensToImage", ar_tokens=["tokens", 0], ar_model=["load", 0])
        prompt["save"]["inputs"]["images"] = ["back", 0]
        back = images(host, prompt)
        assert back.shape == first.shape
        if fit == "crop":
            assert np.abs(back - first).mean() < 0.05  # what the small tokenizer loses


def test_tokens_of_another_model_are_refused_by_name(golden: RunningHost) -> None:  # noqa: F811
    prompt = generate(seed=4)
    prompt["other"] = node("ARLoadCheckpoint", checkpoint=TRANSFORMER, tokenizer=TOKENIZER)
    prompt["back"] = node("ARTokensToImage", ar_tokens=["decode", 2], ar_model=["other", 0])
    prompt["save"]["inputs"]["images"] = ["back", 0]
    message = refusal(golden, prompt)
    assert "belong to another model" in message and "var_d2.pth" in message
    prompt = again(generate(seed=4), keep_scales())
    prompt["sampler2"]["inputs"]["ar_model"] = ["other", 0]
    prompt["condition2"]["inputs"] |= {"ar_model": ["other", 0], "classes": "3"}
    prompt["other"] = node("ARLoadCheckpoint", checkpoint=TRANSFORMER, tokenizer=TOKENIZER)
    assert "belong to another model" in refusal(golden, prompt)


# --- variations -------------------------------------------------------------------------------------------------------


def test_variation_runs_from_the_image_to_a_new_one(host: RunningHost) -> None:
    prompt = generate(seed=4)
    first = images(host, prompt)[0]
    made = {
        v: images(host, again(generate(seed=4), keep_scales(variation=v)))[0] for v in (0, 0.3, 0.7)
    }
    assert np.array_equal(made[0], first)
    away = [np.abs(made[v] - first).mean() for v in (0.3, 0.7)]
    assert 0.01 < away[0] < away[1]
    new = again(generate(seed=4), keep_scales(variation=1.0))
    plain = generate(seed=50, classes="12", scale=1.0)
    assert np.array_equal(images(host, new), images(host, plain))


def test_scales_by_number_and_too_many(host: RunningHost) -> None:
    first = images(host, generate(seed=4))
    whole = again(generate(seed=4), keep_scales(keep_scales=SCALES))
    assert np.array_equal(images(host, whole), first)
    none = again(generate(seed=4), keep_scales(keep_scales=0))
    assert not np.array_equal(images(host, none), first)
    message = refusal(host, again(generate(seed=4), keep_scales(keep_scales=SCALES + 1)))
    assert f"keep_scales is {SCALES + 1}" in message and f"have {SCALES} scales" in message


def test_a_batch_varies_every_image_or_one_for_all(host: RunningHost) -> None:
    prompt = again(generate(seed=4, classes="3, 9"), keep_scales(variation=0.0), classes="3, 9")
    first = images(host, generate(seed=4, classes="3, 9"))
    assert same_image(images(host, prompt), first)
    prompt["sampler2"]["inputs"]["batch_size"] = 2
    assert same_image(images(host, prompt), first.repeat(2, axis=0))
    prompt["condition2"]["inputs"]["classes"] = "3, 9, 12"
    prompt["sampler2"]["inputs"]["batch_size"] = 1
    assert "2 images to start from for a batch of 3" in refusal(host, prompt)


# --- in- and out-painting ---------------------------------------------------------------------------------------------


def test_outside_the_mask_no_pixel_changes(host: RunningHost) -> None:
    first = images(host, generate(seed=4))[0]
    for source in ({"ar_tokens": ["decode", 2]}, {"image": ["decode", 0]}):
        made = images(host, again(masked(generate(seed=4)), inpaint(**source)))[0]
        changed = np.abs(made - first).max(-1) > 0
        assert not changed[:32].any() and not changed[:, :32].any()
        assert changed[32:, 32:].mean() > 0.3


def test_tokens_outside_stay_and_can_be_saved(host: RunningHost) -> None:
    prompt = again(masked(generate(seed=4)), inpaint(ar_tokens=["decode", 2]))
    for name, source in (("one", "decode"), ("two", "decode2")):
        prompt[name] = node("ARSaveTokens", ar_tokens=[source, 2], filename_prefix=f"edit/{name}")
    images(host, prompt)
    steps = []
    for name in ("one", "two"):
        path = sorted((host.output / "edit").glob(f"{name}_*.safetensors"))[-1]
        with safe_open(path, framework="pt") as file:
            facts = file.metadata()
            steps.append([file.get_tensor(f"step.{k}") for k in range(SCALES)])
    assert facts["kind"] == "scale" and json.loads(facts["prompt"])["edit"]
    last_one, last_two = (s[-1].view(8, 8) for s in steps)
    assert torch.equal(last_one[:4], last_two[:4]) and torch.equal(last_one[:, :4], last_two[:, :4])
    assert not torch.equal(last_one, last_two)
    assert torch.equal(steps[0][0], steps[1][0])


def test_masks_of_any_size_and_none_at_all(host: RunningHost) -> None:
    made = [
        images(host, again(masked(generate(seed=4), size), inpaint(ar_tokens=["decode", 2])))
        for size in (64, 256)
    ]
    assert np.array_equal(*made)
    image = images(host, again(masked(generate(seed=4), 128), inpaint(image=["decode", 0])))
    assert image.shape == (1, 64, 64, 3)
    empty = again(masked(generate(seed=4), value=0.0), inpaint(ar_tokens=["decode", 2]))
    assert "the mask is empty" in refusal(host, empty)
    assert "connect the image to change" in refusal(host, again(masked(generate()), inpaint()))


def test_two_edits_in_one_run_are_refused(host: RunningHost) -> None:
    prompt = again(masked(generate(seed=4)), inpaint(ar_tokens=["decode", 2]))
    prompt["more"] = keep_scales()
    prompt["more"]["inputs"]["ar_sampling"] = ["edit", 0]
    prompt["decode2"]["inputs"]["ar_sampling"] = ["more", 0]
    assert "already keeps tokens" in refusal(host, prompt)


def test_outpainting_keeps_the_image_in_its_place(host: RunningHost) -> None:
    prompt = generate(seed=4)
    prompt["small"] = node(
        "ImageScale",
        image=["decode", 0],
        upscale_method="lanczos",
        width=32,
        height=32,
        crop="center",
    )
    prompt["save"]["inputs"]["images"] = ["small", 0]
    small = images(host, prompt)[0]
    made = images(host, again(generate(seed=4), outpaint()))[0]
    assert np.abs(made[32:, 16:48] - small).max() <= 1 / 255 + 1e-6
    assert made[:24].std() > 0.01
    message = refusal(host, again(generate(seed=4), outpaint(left=0.6, right=0.5)))
    assert "left and right together" in message
    nothing = outpaint(left=0.0, top=0.0, right=0.0)
    assert "nothing to draw" in refusal(host, again(generate(seed=4), nothing))


# --- token-wise models ------------------------------------------------------------------------------------------------


def test_editing_a_token_wise_image(host: RunningHost, llamagen) -> None:  # noqa: F811
    first = images(host, generate(*llamagen, classes="3", seed=4))
    same = again(generate(*llamagen, classes="3", seed=4), keep_scales(variation=0.0), classes="5")
    assert np.array_equal(images(host, same), first)
    half = again(generate(*llamagen, classes="3", seed=4), keep_scales(variation=0.5), classes="5")
    assert not np.array_equal(images(host, half), first)
    scales = again(generate(*llamagen, classes="3"), keep_scales(keep_scales=1), classes="5")
    assert "has no scales" in refusal(host, scales)
    size = first.shape[1]
    prompt = again(
        masked(generate(*llamagen, classes="3", seed=4), size),
        inpaint(ar_tokens=["decode", 2], soft_edge=0),
        classes="5",
    )
    changed = np.abs(images(host, prompt)[0] - first[0]).max(-1) > 0
    assert changed.any() and not changed[: size // 2].any() and not changed[:, : size // 2].any()


# --- the authors' own edit --------------------------------------------------------------------------------------------


def test_the_official_inpainting(golden: RunningHost) -> None:  # noqa: F811
    """The golden case's encoded image, its mask and its class, from a token file to the image."""
    expected = load_file(GOLDEN / "expected.safetensors")
    prompt = generate(TRANSFORMER, TOKENIZER, "5", scale=4.0, temperature=0.0)
    prompt["keep"] = node("ARSaveTokens", ar_tokens=["decode", 2], filename_prefix="official/own")
    images(golden, prompt)
    (own,) = sorted((golden.output / "official").glob("own_*"))[-1:]
    with safe_open(own, framework="pt") as file:
        facts = file.metadata()
    grids = json.loads(facts["grids"])
    steps = {f"step.{k}": expected[f"enc.tokens{k}"].int() for k in range(len(grids))}
    save_file(steps, golden.input / "official.safetensors", facts)

    repaint = (expected["edit.mask"].view(grids[-1]) == 0).nonzero()
    (top, left), (bottom, right) = repaint.min(0).values.tolist(), repaint.max(0).values.tolist()
    unit, side = 16, 16 * grids[-1][0]
    prompt["file"] = node("ARLoadTokens", file="official.safetensors")
    patch = (right - left + 1) * unit, (bottom - top + 1) * unit
    add_mask(prompt, (side, side), (left * unit, top * unit), patch)
    prompt["edit"] = inpaint(
        ar_tokens=["file", 0], soft_edge=0, seam="tokens only", keep_outside=False
    )
    prompt["edit"]["inputs"]["ar_sampling"] = ["cfg", 0]
    prompt["decode"]["inputs"]["ar_sampling"] = ["edit", 0]
    del prompt["keep"]
    codec = find_part(read_weights(GOLDEN / "vae_ch32v48z8.pth"), "tokenizer")
    network = codec.family.build(codec.config).eval()
    network.load_state_dict(codec.tensors, strict=False)
    with torch.inference_mode():
        official = network.decode(expected["edit.f_hat"])[0].movedim(0, -1) * 0.5 + 0.5
    made = images(golden, prompt)[0]
    assert np.abs(made - official.clamp(0, 1).numpy()).max() <= 1 / 255 + 1e-3
