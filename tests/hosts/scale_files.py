"""The scale-wise text families' golden cases as files in a host's folders: fixtures `switti`, `hart`, `infinity`."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from ar_guidance.models.text.encoders import FLAN_T5, QWEN2
from ar_guidance.tests.hosts.graphs import generate, node
from ar_guidance.tests.hosts.running import RunningHost
from ar_guidance.tests.hosts.test_nodes import put
from safetensors.torch import load_file, save_file
from torch import Tensor

CASES = Path(__file__).resolve().parents[1] / "golden" / "cases"
SWITTI, HART = CASES / "switti" / "noncausal", CASES / "hart" / "t2i"
INFINITY = CASES / "infinity" / "patchify_wide_sharded"


@dataclass(frozen=True)
class Files:
    """A case in a host's folders: names as the loader node lists them, and its prompts."""

    transformer: str
    tokenizer: str
    positive: str
    negative: str = ""

    def prompt(self, scale: float = 3.0, **sampler: Any) -> dict[str, Any]:
        """Load, condition on the case's text, sampler, CFG, decode, save."""
        made = generate(self.transformer, self.tokenizer, scale=scale, **sampler)
        made["positive"] = node("GivenText", file=self.positive)
        inputs: dict[str, Any] = {"ar_model": ["load", 0], "positive": ["positive", 0]}
        if self.negative:
            made["negative"] = node("GivenText", file=self.negative)
            inputs["negative"] = ["negative", 0]
        made["condition"] = node("ARTextCondition", **inputs)
        return made


def expected(case: Path) -> dict[str, Tensor]:
    return load_file(case / "expected.safetensors")


def text(host: RunningHost, name: str, encoder: str = "", **tensors: Tensor) -> str:
    """Save a prompt's features for GivenText, as of that encoder of our loader."""
    kept = {key: value.contiguous() for key, value in tensors.items()}
    save_file(kept, host.input / name, {"encoder": encoder})
    return name


def copied(host: RunningHost, folder: str, source: Path, name: str) -> str:
    """A file of a case under `name` in a model folder."""
    target = host.models / folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
    return name


@pytest.fixture
def switti(host: RunningHost) -> Files:
    """The release's files and config.json; the tiny network has other heads than the release's rule gives."""
    given = expected(SWITTI)
    name = copied(
        host, "ar_checkpoints", SWITTI / "switti" / "model.safetensors", "switti/model.safetensors"
    )
    settings = json.loads((SWITTI / "switti" / "config.json").read_text()) | {"num_heads": 2}
    put(host, "ar_checkpoints", "switti/config.json", json.dumps(settings).encode())
    live = given["text.attn_bias"] == 0
    features, pooled = given["text.prompt_embeds"], given["text.pooled"]
    return Files(
        name,
        copied(host, "ar_tokenizers", SWITTI / "vqvae" / "model.safetensors", "switti.safetensors"),
        text(host, "switti.safetensors", features=features[:1], mask=live[:1], pooled=pooled[:1]),
        text(
            host, "switti-no.safetensors", features=features[1:], mask=live[1:], pooled=pooled[1:]
        ),
    )


@pytest.fixture
def hart(host: RunningHost) -> Files:
    given = expected(HART)
    copied(host, "ar_checkpoints", HART / "llm" / "config.json", "hart/config.json")
    return Files(
        copied(host, "ar_checkpoints", HART / "llm" / "ema_model.bin", "hart/ema_model.bin"),
        copied(host, "ar_tokenizers", HART / "tokenizer" / "model.safetensors", "hart.safetensors"),
        text(
            host,
            "hart.safetensors",
            QWEN2.name,
            features=given["text.context"],
            mask=given["text.mask"],
        ),
    )


def rows(given: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """An Infinity prompt with the padding a text encoder leaves behind it."""
    features = given[f"{name}.features"]
    padded = torch.nn.functional.pad(features, (0, 0, 0, 3))
    return {"features": padded[None], "mask": (torch.arange(len(padded)) < len(features))[None]}


@pytest.fixture
def infinity(host: RunningHost) -> Files:
    """Three shards and their index, as the 8B is released."""
    given = expected(INFINITY)
    for source in sorted((INFINITY / "transformer_weights").iterdir()):
        copied(host, "ar_checkpoints", source, f"infinity/{source.name}")
    return Files(
        "infinity/model.safetensors.index.json",
        copied(host, "ar_tokenizers", INFINITY / "vae.pth", "infinity_vae.pth"),
        text(host, "infinity.safetensors", FLAN_T5.name, **rows(given, "text")),
        text(host, "infinity-no.safetensors", FLAN_T5.name, **rows(given, "negative")),
    )
