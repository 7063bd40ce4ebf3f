"""AR Load Text Encoder's encoders in both hosts, against `transformers`' own, with tiny random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from ar_guidance.loaders.text.tokenizers import READINGS, read_tokenizer
from ar_guidance.tests.hosts.running import run_inside
from ar_guidance.tests.tiny_encoders import (
    CLIP_SPECIAL,
    QWEN_SPECIAL,
    T5_SPECIAL,
    ids_of,
    save_model,
    tiny_clip,
    tiny_qwen,
    tiny_t5,
    write_tokenizer,
)
from ar_guidance.tools.dev.hosts import BY_VERSION
from safetensors.torch import load_file
from torch import Tensor

pytestmark = pytest.mark.host

PROMPTS = ["a red bird on the grass", "blue", "", "a (red:1.5) bird"]
EXACT = {"precision": "float32"}


class Encoded:
    """What a host made of all jobs."""

    def __init__(self, tensors: dict[str, Tensor], said: list[str]) -> None:
        self.tensors, self.said = tensors, said

    def close(self, key: str, expected: Tensor) -> None:
        torch.testing.assert_close(self.tensors[key], expected, atol=1e-4, rtol=1e-4)


def job(
    *paths: Path, prompts: list[str] | None = None, late: bool = False, **settings: Any
) -> dict[str, Any]:
    chosen = PROMPTS if prompts is None else prompts
    files = list(map(str, paths))
    return {"paths": files, "settings": {**EXACT, **settings}, "prompts": chosen, "late": late}


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return {
        "t5": tiny_t5(),
        "qwen": tiny_qwen(),
        "clip_l": tiny_clip(),
        "clip_g": tiny_clip(192, "gelu"),
        "clip_exact": tiny_clip(128, "gelu"),
    }


@pytest.fixture(scope="module", params=sorted(BY_VERSION))
def encoded(request: pytest.FixtureRequest, models: Any, tmp_path_factory: Any) -> Encoded:
    """One start of the host's Python for all jobs."""
    base = tmp_path_factory.mktemp("encoders")
    for folder, special in (("t5", T5_SPECIAL), ("qwen", QWEN_SPECIAL), ("clip", CLIP_SPECIAL)):
        write_tokenizer(base / folder, special)
    shards = save_model(models["t5"], base / "t5" / "model.safetensors", shards=2)
    (qwen,) = save_model(tiny_qwen(base / "qwen"), base / "qwen" / "model.safetensors")
    (clip_l,) = save_model(models["clip_l"], base / "clip" / "clip_l.safetensors")
    (clip_g,) = save_model(models["clip_g"], base / "clip" / "clip_g.safetensors")
    torch.save(models["t5"].state_dict(), base / "t5" / "whole.bin")
    (base / "qwen" / "prompt_prefix.txt").write_text("draw this -")
    jobs = [
        job(shards[0]),
        job(qwen),
        job(qwen, prefix="draw this"),
        job(clip_l, prompts=PROMPTS[:3]),
        job(clip_g, clip_l),
        job(base / "t5" / "whole.bin", precision="automatic"),
        job(clip_l, prompts=["a (red:1.5) bird"]),
        job(clip_l, prompts=["a bird " * 38]),
        job(qwen, prompts=["bird " * 301]),
        job(shards[1], clip_l, prompts=[]),
        job(shards[1], prefix="draw", prompts=[]),
        job(shards[0], clean_captions=True, prompts=["A  RED <b>Bird</b>"]),
        job(shards[0], late=True),
        job(qwen, late=True),
        job(clip_l, prompts=PROMPTS[:3], late=True),
        job(clip_g, clip_l, late=True),
    ]
    (base / "jobs.json").write_text(json.dumps(jobs))
    files = base / "jobs.json", base / "out.safetensors"
    printed = run_inside(BY_VERSION[request.param], "encode_text", *files)
    said = next(line for line in printed.splitlines() if line.startswith("SAID"))
    return Encoded(load_file(files[1]), json.loads(said.removeprefix("SAID")))


def weighted(features: Tensor, empty: Tensor, weights: list[float]) -> Tensor:
    return empty + torch.tensor(weights)[:, None] * (features - empty)


@torch.no_grad()
def test_t5_from_shards_gives_transformers_features(encoded: Encoded, models: Any) -> None:
    def reference(ids: list[int], length: int = 0) -> Tensor:
        mask = torch.tensor([[1] * len(ids) + [0] * (length - len(ids))])
        padded = torch.tensor([ids + [0] * (length - len(ids))])
        return models["t5"](padded, attention_mask=mask).last_hidden_state

    for index, prompt in enumerate(PROMPTS[:3]):
        ids = [*ids_of(prompt), 1]
        # As the releases do it: padded, and the padding hidden. It makes no difference to the rows that count.
        encoded.close(f"0.{index}.cond", reference(ids, 12)[:, : len(ids)])
        assert encoded.tensors[f"0.{index}.attention_mask"].tolist() == [[1] * len(ids)]
    together = reference([*ids_of("a red bird"), 1])
    blend = weighted(together[0], reference([1], 4)[0], [1, 1.5, 1, 1])
    encoded.close("0.3.cond", blend[None])


@torch.no_grad()
def test_qwen_reads_its_instruction_and_pads_to_300(encoded: Encoded, models: Any) -> None:
    def reference(prefix: str, prompt: str) -> Tensor:
        before, ids = ids_of(prefix), ids_of(prompt)
        line = [*before, *ids, *[39] * (300 - len(ids))]
        mask = torch.tensor([[1] * (len(before) + len(ids)) + [0] * (300 - len(ids))])
        return models["qwen"](torch.tensor([line]), attention_mask=mask).last_hidden_state[:, -300:]

    for number, prefix in ((1, "draw this -"), (2, "draw this")):
        for index, prompt in enumerate(PROMPTS[:3]):
            encoded.close(f"{number}.{index}.cond", reference(prefix, prompt))
            live = encoded.tensors[f"{number}.{index}.attention_mask"]
            assert live.shape == (1, 300) and live.sum() == len(ids_of(prompt))
    assert "is not, letter by letter, the instruction" in encoded.said[1] and not encoded.said[2]


@torch.no_grad()
def test_clip_vector_is_projected_with_exact_gelu(encoded: Encoded, models: Any) -> None:
    for index, prompt in enumerate(PROMPTS[:3]):
        ids = torch.tensor([[38, *ids_of(prompt), 39]])
        encoded.close(f"3.{index}.cond", models["clip_exact"](ids).text_embeds[:, None])
        assert f"3.{index}.pooled_output" not in encoded.tensors


@torch.no_grad()
def test_clip_pair_gives_last_states_and_the_unprojected_end(encoded: Encoded, models: Any) -> None:
    def towers(ids: list[int]) -> tuple[Tensor, Tensor]:
        given = [models[name].text_model(torch.tensor([ids])) for name in ("clip_l", "clip_g")]
        return torch.cat([one.last_hidden_state for one in given], -1), given[1].pooler_output

    for index, prompt in enumerate(PROMPTS[:3]):
        features, pooled = towers([38, *ids_of(prompt), 39])
        encoded.close(f"4.{index}.cond", features)
        encoded.close(f"4.{index}.pooled_output", pooled)
        assert encoded.tensors[f"4.{index}.attention_mask"].all()
    features, empty = towers([38, *ids_of("a red bird"), 39])[0], towers([38, 39, 39, 39, 39])[0]
    encoded.close("4.3.cond", weighted(features[0], empty[0], [1, 1, 1.5, 1, 1])[None])


def test_a_pickle_in_half_precision_is_near(encoded: Encoded) -> None:
    for index in range(3):
        near, exact = encoded.tensors[f"5.{index}.cond"], encoded.tensors[f"0.{index}.cond"]
        assert near.dtype == torch.float32 and not torch.equal(near, exact)
        torch.testing.assert_close(near, exact, atol=0.05, rtol=0.05)


def test_layers_that_begin_without_weights_are_filled(encoded: Encoded) -> None:
    for late, usual in ((12, 0), (13, 1), (14, 3), (15, 4)):
        for index in range(3):
            encoded.close(f"{late}.{index}.cond", encoded.tensors[f"{usual}.{index}.cond"])


def test_what_is_refused(encoded: Encoded) -> None:
    assert "remove the weights" in encoded.said[6]
    assert "has 78 tokens" in encoded.said[7] and "at most 77" in encoded.said[7]
    assert "has 301 tokens" in encoded.said[8] and "at most 300" in encoded.said[8]
    assert "two files are needed only for Switti" in encoded.said[9]
    assert "only HART" in encoded.said[10]


def test_llamagen_captions_are_cleaned(encoded: Encoded, models: Any) -> None:
    with torch.no_grad():
        ids = torch.tensor([[*ids_of("a red bird"), 1]])
        encoded.close("11.0.cond", models["t5"](ids).last_hidden_state)


@pytest.mark.parametrize("version", sorted(BY_VERSION))
def test_the_host_s_own_vocabularies_serve(version: str, tmp_path: Path) -> None:
    """Where no tokenizer lies beside an encoder: the ids of the releases, which no unknown word breaks."""
    ids = {
        "flan_t5": ([3, 9, 1131, 5963], 32128, {"</s>": 1, "<pad>": 0}),
        "qwen2": ([64, 2518, 11958], 151936, {"<|endoftext|>": 151643}),
        "clip_vector": ([320, 736, 3329], 49408, {"<|startoftext|>": 49406}),
    }
    for name, (expected, most, special) in ids.items():
        reading = READINGS[name]
        spare = BY_VERSION[version].folder / "comfy" / reading.spare
        words = read_tokenizer(tmp_path, spare, reading.kind)
        assert words.ids("a red bird") == expected, name
        assert words.size <= most
        assert {key: words.id(key) for key in special} == special


def test_an_instruction_that_is_missing_is_told(models: Any, tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "qwen", QWEN_SPECIAL)
    (qwen,) = save_model(models["qwen"], tmp_path / "qwen" / "model.safetensors")
    (tmp_path / "jobs.json").write_text(json.dumps([job(qwen, prompts=["", "bird"])]))
    newest = BY_VERSION[max(BY_VERSION, key=lambda v: [int(n) for n in v.split(".")])]
    files = tmp_path / "jobs.json", tmp_path / "out.safetensors"
    assert "prompt_prefix.txt" in run_inside(newest, "encode_text", *files)
    assert load_file(files[1])["0.0.cond"].isfinite().all()
