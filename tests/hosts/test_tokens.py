"""Token-wise families in real hosts: from files to images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ar_guidance.tests.hosts.graphs import generate, node
from ar_guidance.tests.hosts.running import RunningHost, run_inside
from ar_guidance.tests.hosts.test_nodes import images, put, refusal
from safetensors.torch import load_file

CASES = Path(__file__).resolve().parents[1] / "golden" / "cases"


def state(family: str, case: str, file: str) -> dict[str, torch.Tensor]:
    content = torch.load(CASES / family / case / file, weights_only=True)
    return content.get("model", content)


@pytest.fixture
def llamagen(host: RunningHost) -> tuple[str, str]:
    """The golden case's files, with the sizes that the release's layout leaves out."""
    network = state("llamagen", "c2i_square4", "c2i_tiny_8.pt")
    codec = state("llamagen", "c2i_square4", "vq_ds2_c2i.pt")
    known = {"heads": "4", "side": "4"}
    return (
        put(host, "ar_checkpoints", "llamagen.safetensors", network, known),
        put(host, "ar_tokenizers", "llamagen_vq.safetensors", codec),
    )


@pytest.fixture
def alitok(host: RunningHost) -> tuple[str, str]:
    network = state("alitok", "p4_b2", "alitok_l.bin")
    codec = state("alitok", "p4_b2", "AliTok.pth")
    heads = {"encoder_heads": "2", "decoder_heads": "3"}
    return (
        put(host, "ar_checkpoints", "alitok_l.bin", network),
        put(host, "ar_tokenizers", "alitok.safetensors", codec, heads),
    )


def expected(family: str, case: str) -> np.ndarray:
    return (
        load_file(CASES / family / case / "expected.safetensors")["image"][0].movedim(0, -1).numpy()
    )


def test_llamagen_gives_the_official_image(host: RunningHost, llamagen) -> None:
    prompt = generate(*llamagen, classes="3", scale=4.0, temperature=0.0)
    image = images(host, prompt)[0]
    official = (expected("llamagen", "c2i_square4") * 0.5 + 0.5).clip(0, 1)
    assert image.shape == official.shape
    assert np.abs(image - official).max() <= 1 / 255 + 1e-4


def test_alitok_gives_the_official_image(host: RunningHost, alitok) -> None:
    prompt = generate(*alitok, classes="2", scale=6.0, temperature=0.0)
    prompt["cfg"]["inputs"] |= {"schedule": "cosine power", "power": 0.7}
    image = images(host, prompt)[0]
    assert np.abs(image - expected("alitok", "p4_b2")).max() <= 1 / 255 + 1e-4
    # The tiny network is as narrow as no release: it takes the large model's published schedule.
    prompt["cfg"]["inputs"] |= {"schedule": "family default"}
    assert np.array_equal(images(host, prompt)[0], image)


def soft(source: list, **settings: Any) -> dict[str, Any]:
    defaults = {
        "scale": 4.0,
        "schedule": "constant",
        "start": 0.0,
        "end": 1.0,
        "power": 1.0,
        "values": "",
        "strength": 1.0,
        "normalise": True,
        "perturb": "values",
        "confidence": "conditional",
        "convention": "paper",
        "floor": -1.0,
    }
    return node("ARGuidanceSoftCFG", ar_sampling=source, **(defaults | settings))


def test_softcfg_acts_and_strength_zero_is_cfg(host: RunningHost, llamagen) -> None:
    prompt = generate(*llamagen, classes="3, 7", scale=4.0, temperature=0.0)
    plain = images(host, prompt)
    prompt["cfg"] = soft(["sampler", 0], strength=0.0)
    assert np.array_equal(images(host, prompt), plain)
    prompt["cfg"] = soft(["sampler", 0], normalise=False)
    assert not np.array_equal(images(host, prompt), plain)


def test_softcfg_acts_on_a_scale_wise_model(host: RunningHost) -> None:
    prompt = generate(classes="3, 7", scale=4.0)
    plain = images(host, prompt)
    prompt["cfg"] = soft(["sampler", 0], strength=0.0, schedule="family default")
    assert np.array_equal(images(host, prompt), plain)
    prompt["cfg"] = soft(["sampler", 0], normalise=False, schedule="family default")
    assert not np.array_equal(images(host, prompt), plain)


def test_progress_counts_tokens(host: RunningHost, llamagen) -> None:
    result = host.run(generate(*llamagen, classes="1", seed=3))
    steps = [p for p in result.progress if p.node == "decode"]
    assert steps[-1].value == steps[-1].total == 16
    assert result.previews


def test_image_size(host: RunningHost, llamagen) -> None:
    prompt = generate(*llamagen, classes="3")
    prompt["load"]["inputs"]["picture_size"] = 16
    assert images(host, prompt).shape == (1, 16, 16, 3)
    prompt = generate()
    prompt["load"]["inputs"]["picture_size"] = 64
    assert "Set picture_size to 0" in refusal(host, prompt)


@pytest.mark.parametrize("family", ["llamagen", "alitok"])
def test_a_model_that_does_not_fit_leaves_nothing_stranded(
    host: RunningHost, family: str, request: pytest.FixtureRequest
) -> None:
    transformer, tokenizer = request.getfixturevalue(family)
    models = host.models / "ar_checkpoints" / transformer, host.models / "ar_tokenizers" / tokenizer
    assert "stayed behind" in run_inside(host.process.host, "partial_load", *models)


def test_a_tokenizer_of_another_family(host: RunningHost, llamagen, alitok) -> None:
    message = refusal(host, generate(llamagen[0], alitok[1], "3"))
    assert "do not belong together" in message
    assert "for LlamaGen: vq_ds16_c2i.pt" in refusal(host, generate(llamagen[0]))
