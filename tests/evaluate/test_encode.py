"""Prompts encoded once, in ComfyUI's own Python, and read a few at a time."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ar_guidance.models.text.encoders import FLAN_T5, MARK
from ar_guidance.tests.tiny_encoders import T5_SPECIAL, ids_of, save_model, tiny_t5, write_tokenizer
from ar_guidance.tools.dev.environment import python_path
from ar_guidance.tools.dev.host_process import host_environment
from ar_guidance.tools.dev.hosts import NEWEST
from ar_guidance.tools.evaluate.conditions import Encoded, _entries
from ar_guidance.tools.evaluate.encode import together
from ar_guidance.tools.evaluate.problems import EvaluationError
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[2]
PROMPTS = ["a red bird", "blue", "a bird on the grass"]


def test_rows_of_all_lengths_are_one_tensor_with_a_mask() -> None:
    rows = [{"features": torch.ones(1, n, 4), "mask": torch.ones(1, n)} for n in (2, 5)]
    made = together(rows)
    assert made["features"].shape == (2, 5, 4) and made["features"][0, 2:].abs().sum() == 0
    assert made["mask"].tolist() == [[1, 1, 0, 0, 0], [1, 1, 1, 1, 1]]


def test_prompts_are_read_in_turn(tmp_path: Path) -> None:
    rows = [
        {"features": torch.full((1, 2, 4), float(n)), "pooled": torch.ones(1, 3)} for n in range(3)
    ]
    metadata = {"encoder": "x", "prompts": "\n".join(PROMPTS)}
    save_file(together(rows), tmp_path / "prompts.safetensors", metadata)
    entries, words = _entries(tmp_path / "prompts.safetensors", [1, 5])
    assert [entry[0].mean().item() for entry in entries] == [1.0, 2.0]
    assert words == ("blue", "a bird on the grass")
    assert entries[0][1][MARK] == "x" and entries[0][1]["pooled_output"].shape == (1, 3)


def test_what_holds_no_prompts_is_refused(tmp_path: Path) -> None:
    save_file({"x": torch.ones(1)}, tmp_path / "other.safetensors")
    for name in ("none.safetensors", "other.safetensors"):
        with pytest.raises(EvaluationError, match="these encoded prompts cannot be read"):
            _entries(tmp_path / name, [0])
    assert Encoded(tmp_path / "none.safetensors").negative is None


@pytest.mark.host
def test_comfyui_encodes_as_its_nodes_do(tmp_path: Path) -> None:
    network = tiny_t5()
    write_tokenizer(tmp_path / "t5", T5_SPECIAL)
    [file] = save_model(network, tmp_path / "t5" / "model.safetensors")
    (tmp_path / "prompts.txt").write_text("\n".join(PROMPTS), encoding="utf-8")
    line = [str(python_path()), "-m", "tools.evaluate.encode", "--host", str(NEWEST.folder)]
    line += ["--encoder", str(file), "--prompts", str(tmp_path / "prompts.txt"), "--cpu"]
    line += ["--precision", "float32"]
    line += ["--output", str(tmp_path / "out.safetensors")]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, env=host_environment())
    assert done.returncode == 0, done.stderr[-3000:]
    entries, words = _entries(tmp_path / "out.safetensors", [0, 1, 2])
    assert words == tuple(PROMPTS)
    for (features, options), prompt in zip(entries, PROMPTS, strict=True):
        ids = [*ids_of(prompt), T5_SPECIAL["</s>"]]
        with torch.no_grad():
            wanted = network(torch.tensor([ids])).last_hidden_state
        assert options[MARK] == FLAN_T5.name
        torch.testing.assert_close(features[:, : len(ids)], wanted, atol=1e-4, rtol=1e-4)
        assert options["attention_mask"].sum() == len(ids)


def test_no_comfyui_is_said(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "tools.evaluate.encode", "--host", str(tmp_path), "--empty"]
    line += ["--encoder", "x", "--output", str(tmp_path / "out")]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "no ComfyUI is there" in done.stderr
