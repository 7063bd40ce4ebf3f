"""Families the ready plans name, on the tiny networks of the golden cases: the released weights are not here."""

import json
from pathlib import Path

import pytest
from ar_guidance.tests.evaluate.plans import written
from ar_guidance.tools.evaluate.command import main

CASES = Path(__file__).resolve().parents[1] / "golden" / "cases"


@pytest.mark.parametrize("guided", [[], [{"ssg": {"beta": 0.1}}]])
def test_discrete_diffusion_is_sampled(guided: list, tmp_path: Path) -> None:
    model = {"transformer": "imagenet_learnable.pth", "tokenizer": "vqgan_imagenet_f2_64.pth"}
    changes = {
        "models": {"vq": model},
        "conditions": {"classes": "all"},
        "judges": [],
        "sampler": {"top_p": 0.94},
        "rows": [{"label": "CFG", "chain": [{"cfg": {"scale": 1.5}}, *guided]}],
    }
    plan = written(tmp_path, **changes, seeds=1, each=2)
    weights = str(CASES / "vq_diffusion" / "class_t100")
    arguments = [plan, "--weights", weights, "--device", "cpu", "--output", str(tmp_path / "out")]
    assert main(arguments) == 0
    [row] = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["rows"]
    assert row["samples"] == 2
