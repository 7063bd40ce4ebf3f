"""The attention that a user chose for ComfyUI reaches this pack's models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ar_guidance.tests.hosts.running import run_inside
from ar_guidance.tools.dev.hosts import BY_VERSION

BUNDLED = Path(__file__).resolve().parents[2] / "bundled"
FILES = [str(BUNDLED / f"emoji_{name}.safetensors") for name in ("var", "tokenizer")]


def tried(version: str, choice: str) -> dict[str, Any]:
    printed = run_inside(BY_VERSION[version], "attention_inside", choice, *FILES)
    return json.loads(printed.splitlines()[-1])


@pytest.mark.host
@pytest.mark.parametrize("version", sorted(BY_VERSION))
def test_the_users_choice_is_used(version: str) -> None:
    nothing = tried(version, "nothing")
    assert nothing["calls"] == 0  # on a processor the host falls back on one that nobody chose
    for option, name in (
        ("use_quad_cross_attention", "attention_sub_quad"),
        ("use_split_cross_attention", "attention_split"),
    ):
        chosen = tried(version, option)
        assert chosen["called"] == [name] and chosen["calls"] > 0
        same = [a == b for a, b in zip(chosen["tokens"], nothing["tokens"], strict=True)]
        assert sum(same) > 0.9 * len(same)  # a near-tie may fall otherwise
