"""Prompts in real hosts: empty, too long, of the wrong encoder, broken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from ar_guidance.models.text.encoders import FLAN_T5, QWEN2
from ar_guidance.tests.hosts.graphs import node
from ar_guidance.tests.hosts.running import RunningHost
from ar_guidance.tests.hosts.scale_files import HART, INFINITY, Files, expected, rows, text
from ar_guidance.tests.hosts.test_nodes import images, refusal
from ar_guidance.tests.tiny_encoders import T5_SPECIAL, save_model, tiny_t5, write_tokenizer


def typed(host: RunningHost, infinity: Files, prompt: str) -> dict[str, Any]:
    """Infinity's graph with a prompt as an artist types it, read by a tiny flan-T5 from a file."""
    folder = host.models / "text_encoders" / "wide_flan"
    write_tokenizer(folder, T5_SPECIAL)
    save_model(tiny_t5(width=128), folder / "model.safetensors")
    made = infinity.prompt(temperature=0.0)
    made["clip"] = node(
        "ARLoadTextEncoder",
        text_encoder="wide_flan/model.safetensors",
        second_file="none",
        precision="float32",
    )
    made["positive"] = node("CLIPTextEncode", text=prompt, clip=["clip", 0])
    return made


def test_an_empty_prompt_reaches_an_image(host: RunningHost, infinity: Files) -> None:
    """Infinity reads the one row its encoder has for an empty text: the end token's."""
    made = images(host, typed(host, infinity, ""))
    with torch.inference_mode():
        end = tiny_t5(width=128)(torch.tensor([[1]])).last_hidden_state.clone()
    name = text(host, "infinity-empty.safetensors", FLAN_T5.name, features=end)
    wanted = images(host, replace(infinity, positive=name).prompt(temperature=0.0))
    assert made.shape == (1, 256, 256, 3) and made.std() > 0.01
    assert np.abs(made - wanted).max() <= 1 / 255 + 1e-4
    assert not np.array_equal(made, images(host, typed(host, infinity, "a red bird")))


def test_too_long_a_prompt_is_refused_with_its_length(host: RunningHost, infinity: Files) -> None:
    message = refusal(host, typed(host, infinity, "a red bird on grass " * 8))
    assert "positive: this prompt has 41 tokens, and Infinity reads at most 32" in message
    assert "shorten it" in message


def test_hart_draws_without_a_prompt(host: RunningHost, hart: Files) -> None:
    """An empty text has no row for HART: both branches are then the same, so guidance changes nothing."""
    given = expected(HART)
    features, mask = given["text.context"][:1], torch.zeros_like(given["text.mask"][:1])
    name = text(host, "hart-empty.safetensors", QWEN2.name, features=features, mask=mask)
    empty = replace(hart, positive=name)
    made = images(host, empty.prompt(scale=5.5, temperature=0.0))
    alone = images(host, empty.prompt(scale=1.0, temperature=0.0))
    assert made.std() > 0.01 and np.abs(made - alone).max() <= 1 / 255 + 1e-4
    with_prompt = images(host, hart.prompt(scale=5.5, temperature=0.0))
    assert np.abs(made[0] - with_prompt[0]).max() > 0.02


def test_a_prompt_of_another_encoder(host: RunningHost, infinity: Files, switti: Files) -> None:
    message = refusal(host, replace(infinity, positive=switti.positive).prompt())
    assert "reads flan-T5-XL, but this CONDITIONING is 40 wide" in message


@pytest.mark.parametrize("encoder", ["T5-XL", "Qwen2.5-3B"])
def test_a_stock_encoder_of_the_right_width_is_refused(
    host: RunningHost, infinity: Files, encoder: str
) -> None:
    """What CLIPLoader makes: of flan-T5-XL's own file (read wrongly), or of another one as wide."""
    width = expected(INFINITY)["text.features"].shape[-1]
    for name in ("positive", "negative"):
        prompt = infinity.prompt()
        prompt["stock"] = node("StockEncoder", encoder=encoder, width=width)
        prompt[name] = node("CLIPTextEncode", text="a red bird", clip=["stock", 0])
        message = refusal(host, prompt)
        assert f"{name}: " in message and "reads flan-T5-XL" in message
        assert "Use AR Load Text Encoder with the flan-T5-XL file" in message


def test_features_that_are_no_numbers(host: RunningHost, infinity: Files) -> None:
    given = rows(expected(INFINITY), "text")
    given["features"][:, 1, 2] = float("nan")
    broken = text(host, "infinity-nan.safetensors", FLAN_T5.name, **given)
    message = refusal(host, replace(infinity, positive=broken).prompt())
    assert "positive holds features that are not numbers" in message
