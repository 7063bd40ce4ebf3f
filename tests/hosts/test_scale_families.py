"""Scale-wise text families in real hosts: from checkpoint files in the model folders to the official images."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from ar_guidance.guidance.cfg import CFG
from ar_guidance.loaders.detect import find_part, fitted
from ar_guidance.loaders.read import read_weights
from ar_guidance.models.parts.text import TextCondition
from ar_guidance.sampling.draw import Streams
from ar_guidance.sampling.plan import SamplerSettings, plan
from ar_guidance.sampling.scalewise import generate as run_host_free
from ar_guidance.tests.hosts.graphs import cfg, node
from ar_guidance.tests.hosts.running import RunningHost, run_inside
from ar_guidance.tests.hosts.scale_files import HART, INFINITY, SWITTI, Files, expected
from ar_guidance.tests.hosts.test_nodes import images, put, refusal
from ar_guidance.tests.tiny import FAMILIES
from torch import Tensor


def listed(prompt: dict[str, Any]) -> dict[str, Any]:
    """The Infinity case's own size, guidance of every step and temperature of every step."""
    guidance = json.loads((INFINITY / "case.json").read_text())["guidance"]
    values, taus = (", ".join(map(str, guidance[name])) for name in ("cfg_list", "tau_list"))
    prompt["sampler"]["inputs"] |= {"size": "352×176 (2:1)", "temperatures": taus, "top_k": 1}
    prompt["cfg"] = cfg(["sampler", 0], 1.0, schedule="list", values=values)
    return prompt


# --- the official images --------------------------------------------------------------------------------------------


def test_switti_gives_the_official_image(host: RunningHost, switti: Files) -> None:
    image = images(host, switti.prompt(scale=4.0, temperature=0.0))[0]
    official = expected(SWITTI)["image"][0].movedim(0, -1).numpy()
    assert image.shape == official.shape
    assert np.abs(image - official).max() <= 1 / 255 + 1e-4  # a PNG has 8 bits


def test_infinity_gives_the_official_image(host: RunningHost, infinity: Files) -> None:
    image = images(host, listed(infinity.prompt(top_p=0.0)))[0]
    official = expected(INFINITY)["image"][0].movedim(0, -1).numpy() / 2 + 0.5
    assert image.shape == official.shape == (176, 352, 3)
    assert np.abs(image - official).max() <= 1 / 255 + 1e-4


def host_free_hart(seed: int) -> Tensor:
    """The code that gives the official numbers, with the seed's noise: the case's own noise has no seed."""
    main = find_part(read_weights(HART / "llm" / "ema_model.bin"), "transformer")
    tokenizer = read_weights(HART / "tokenizer" / "model.safetensors")
    networks = []
    for part in (main, fitted(main, find_part(tokenizer, "tokenizer"))):
        network = part.family.build(part.config).eval()
        network.load_state_dict(part.tensors, strict=False)
        networks.append(network)
    given = expected(HART)
    condition = TextCondition(given["text.context"], given["text.mask"].bool())
    batch = len(condition.features)
    null, streams = networks[0].null_condition(batch), Streams(seed, batch)
    with torch.inference_mode():
        job = plan(
            main, (condition, null), batch, (CFG(5.5),), SamplerSettings(temperature=0.0), streams
        )
        result = run_host_free(networks[0], networks[1], job, torch.device("cpu"))
        return networks[1].decode(result.features) / 2 + 0.5


def test_hart_gives_the_image_of_the_verified_code(host: RunningHost, hart: Files) -> None:
    made = images(host, hart.prompt(scale=5.5, temperature=0.0, seed=7))
    wanted = host_free_hart(7).movedim(1, -1).numpy()
    assert made.shape == wanted.shape
    assert np.abs(made - wanted).max() <= 1 / 255 + 1e-4
    assert np.abs(made - host_free_hart(8).movedim(1, -1).numpy()).max() > 0.02  # seeds differ


def test_published_settings_mix_codes_and_switching_them_off_shows(
    host: RunningHost, hart: Files
) -> None:
    published = images(host, hart.prompt(seed=3))
    on, off = hart.prompt(seed=3), hart.prompt(seed=3)
    on["sampler"]["inputs"]["smooth"] = "on"
    off["sampler"]["inputs"]["smooth"] = "off"
    assert np.array_equal(published, images(host, on))
    assert not np.array_equal(published, images(host, off))


def test_settings_put_beside_a_file_later_are_read(host: RunningHost, hart: Files) -> None:
    prompt = hart.prompt(temperature=0.0, seed=5)
    before = images(host, prompt)
    assert "load" in host.run(prompt).cached
    settings = json.loads((HART / "llm" / "config.json").read_text()) | {"num_sampling_steps": "3"}
    added = host.models / "ar_checkpoints" / "hart" / "ema_model.json"
    added.write_text(json.dumps(settings))
    try:
        assert not np.array_equal(before, images(host, prompt))
    finally:
        added.unlink()
    assert np.array_equal(before, images(host, prompt))


def test_hidden_guidance_acts_on_infinity_only(
    host: RunningHost, infinity: Files, switti: Files
) -> None:
    hidden = node(
        "ARGuidanceHiddenCFG",
        **{"ar_sampling": ["sampler", 0], "scale": 3.0, "depth": 1},
        **{"schedule": "constant", "values": ""},
    )
    plain, mixed = infinity.prompt(scale=3.0, temperature=0.0), infinity.prompt(temperature=0.0)
    mixed["cfg"] = hidden
    assert not np.array_equal(images(host, plain), images(host, mixed))
    wrong = switti.prompt()
    wrong["cfg"] = hidden
    assert "cannot mix branches inside; use AR Guidance: CFG" in refusal(host, wrong)


# --- sizes ------------------------------------------------------------------------------------------------------------


def sized(files: Files, size: str) -> dict[str, Any]:
    prompt = files.prompt(temperature=0.0)
    prompt["sampler"]["inputs"]["size"] = size
    return prompt


def test_infinity_makes_the_sizes_of_the_list(host: RunningHost, infinity: Files) -> None:
    assert images(host, infinity.prompt()).shape == (1, 256, 256, 3)  # its default
    assert images(host, sized(infinity, "336×192 (7:4)")).shape == (1, 192, 336, 3)
    assert images(host, sized(infinity, "256×320 (4:5)")).shape == (1, 320, 256, 3)


def test_a_size_the_model_cannot_make_is_refused_with_the_nearest(
    host: RunningHost, switti: Files, infinity: Files
) -> None:
    message = refusal(host, sized(switti, "512×512 (1:1)"))
    assert "this Switti model makes no images of 512x512 pixels; nearest: 12x12" in message
    message = refusal(host, sized(infinity, "384×384 (1:1)"))
    assert "this Infinity model makes no images of 384x384 pixels; nearest: " in message


def test_a_size_outside_the_list(host: RunningHost, infinity: Files) -> None:
    # A newer host refuses what is not in the list; an older one hands it to the node, which refuses it.
    assert "1000x1000" in refusal(host, sized(infinity, "1000x1000"))


def test_temperatures_must_be_one_per_step(host: RunningHost, infinity: Files) -> None:
    prompt = infinity.prompt()
    prompt["sampler"]["inputs"]["temperatures"] = "1, 0.5"
    message = refusal(host, prompt)
    assert "2 temperatures are listed, but this model takes 7 steps" in message
    prompt["sampler"]["inputs"]["temperatures"] = "hot"
    assert "'hot' is not a list of numbers" in refusal(host, prompt)


# --- files that do not belong together --------------------------------------------------------------------------------


def test_a_missing_shard(host: RunningHost, infinity: Files) -> None:
    folder = host.models / "ar_checkpoints" / "broken"
    shutil.copytree(folder.parent / "infinity", folder, dirs_exist_ok=True)
    (folder / "model-00002-of-00003.safetensors").unlink()
    broken = replace(infinity, transformer="broken/model.safetensors.index.json")
    message = refusal(host, broken.prompt())
    assert "1 of its 3 files are missing (model-00002-of-00003.safetensors)" in message


def test_a_tokenizer_of_another_family(host: RunningHost, infinity: Files, switti: Files) -> None:
    message = refusal(host, replace(infinity, tokenizer=switti.tokenizer).prompt())
    assert "the Infinity transformer does not work with the VAR image tokenizer" in message
    message = refusal(host, replace(switti, tokenizer=infinity.tokenizer).prompt())
    assert "does not work with the Infinity image tokenizer" in message


def test_a_tokenizer_of_another_bit_width(host: RunningHost, infinity: Files) -> None:
    codec = {f"vae.{k}": v for k, v in FAMILIES["infinity"]().codec.state_dict().items()}
    codec["vae.quantizer.lfq.mask"] = torch.ones(2, dtype=torch.long)
    name = put(host, "ar_tokenizers", "two_bits.pth", codec)
    message = refusal(host, replace(infinity, tokenizer=name).prompt())
    assert "predicts 24 bits per token, the tokenizer has 2 per code" in message


def test_no_negative_prompt_where_the_model_needs_one(host: RunningHost, switti: Files) -> None:
    assert "needs the negative input" in refusal(host, replace(switti, negative="").prompt())


@pytest.mark.parametrize("family", ["switti", "hart", "infinity"])
def test_a_model_that_does_not_fit_leaves_nothing_stranded(
    host: RunningHost, family: str, request: pytest.FixtureRequest
) -> None:
    files = request.getfixturevalue(family)
    models = [
        host.models / "ar_checkpoints" / files.transformer,
        host.models / "ar_tokenizers" / files.tokenizer,
    ]
    assert "stayed behind" in run_inside(host.process.host, "partial_load", *models)
