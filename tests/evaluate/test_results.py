"""What runs leave behind: kept samples, traces, figures, latencies, and how long they say they will take."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ar_guidance.imaging.token_file import read_tokens
from ar_guidance.tests.evaluate.plans import numbers, shard_files, written
from ar_guidance.tools.evaluate import work
from ar_guidance.tools.evaluate.command import main
from ar_guidance.tools.evaluate.estimates import Measured
from ar_guidance.tools.evaluate.figures import curves
from ar_guidance.tools.evaluate.plan import Setting
from ar_guidance.tools.evaluate.progress import Progress
from ar_guidance.tools.evaluate.report import Row
from PIL import Image
from safetensors.numpy import load_file


def test_samples_are_kept_as_images(tmp_path: Path) -> None:
    arguments = [written(tmp_path, rows=[{"label": "plain"}], keep="png", seeds=1)]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 0
    images = sorted((tmp_path / "out" / "kept" / "scale-plain").glob("*.png"))
    assert [path.name for path in images] == [f"{n:06d}.png" for n in range(4)]
    assert Image.open(images[0]).size == (64, 64)


def test_kept_tokens_are_a_file_the_nodes_read(tmp_path: Path) -> None:
    arguments = [written(tmp_path, rows=[{"label": "plain"}], keep="tokens", seeds=1)]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 0
    files = sorted((tmp_path / "out" / "kept" / "scale-plain").glob("*.safetensors"))
    tokens = [read_tokens(path) for path in files]
    stored = shard_files(tmp_path / "out")
    digests = np.concatenate([load_file(path)["digest"] for path in stored])
    assert np.array_equal(np.concatenate([work.digests(t.steps) for t in tokens]), digests)


def test_guidance_is_traced_where_the_plan_asks(tmp_path: Path) -> None:
    arguments = [written(tmp_path, trace=True, seeds=1), "--output", str(tmp_path / "out")]
    assert main(arguments) == 0
    plain, guided = json.loads((tmp_path / "out" / "report.json").read_text())["rows"]
    assert "evenness" not in plain["metrics"] and 0 < guided["metrics"]["evenness"]["value"] < 1
    assert len(guided["steps"]["evenness"]) == 7


def test_token_wise_models_are_sampled_and_traced(tmp_path: Path) -> None:
    changes = {"models": {"token": {"bundled": "token"}}, "sampler": {}, "trace": True, "seeds": 1}
    rows = [{"label": "CFG", "strength": 4, "chain": [{"cfg": {"scale": 4}}]}]
    arguments = [written(tmp_path, rows=rows, each=2, **changes), "--output", str(tmp_path / "out")]
    assert main(arguments) == 0
    [row] = json.loads((tmp_path / "out" / "report.json").read_text())["rows"]
    assert len(row["steps"]["gap"]) == 16 and row["samples"] == 2


def test_a_check_makes_nothing(tmp_path: Path, capsys: Any) -> None:
    assert main([written(tmp_path), "--output", str(tmp_path / "out"), "--check"]) == 0
    assert capsys.readouterr().out == "small: 2 settings of 8 samples\n"
    assert not (tmp_path / "out").exists()


def test_progress_says_how_long_it_will_take() -> None:
    progress = Progress(total=1000, done=400, made=100)
    assert progress.line(50.0) == "400/1000 samples (40 %), 2.0 samples/s, 0:05:00 to go"


def test_figures_and_latency_are_part_of_the_report(tmp_path: Path) -> None:
    rows = [{"label": "CFG", "strengths": [2, 3], "chain": [{"cfg": {"scale": "$x"}}]}]
    figures = [
        {"name": "course", "y": ["evenness", "divergence"]},
        {"name": "trade", "x": "accuracy", "y": "frechet", "labels": ["CFG"]},
        {"name": "empty", "y": "frechet", "labels": ["IGG"]},
    ]
    latency = {"runs": 3, "warm_up": 1}
    plan = written(tmp_path, rows=rows, trace=True, figures=figures, latency=latency, seeds=1)
    arguments = [plan, "--output", str(tmp_path / "out"), "--device", "cpu"]
    assert main(arguments) == 0
    drawn = sorted(path.name for path in (tmp_path / "out" / "figures").iterdir())
    assert drawn == ["course.png", "trade.png"]
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    timed = report["latency"]["scale-cfg-3"]
    assert timed["runs"] == 3 and timed["mean"] > 0 and timed["std"] >= 0
    before = numbers(tmp_path / "out")
    assert main(arguments) == 0
    assert numbers(tmp_path / "out") == before, "timed again"
    assert "| scale | CFG 3 |" in before["report.md"].decode().split("## Latency")[1]


def test_points_have_the_intervals_of_both_axes() -> None:
    """FID against IS: a bar each way. Over the strength: upright ones, the curves a little aside of each other."""
    rows = [
        Row(
            Setting(label, strength, "m", (), {}, {}, {}),
            100,
            "",
            {"fid": Measured("FID", 2 * strength, 0.5, (), "low", 2)}
            | {"is": Measured("IS", 100 * strength, 7.0, (), "high", 1)},
            {},
        )
        for label in ("CFG", "IGG")
        for strength in (2.0, 1.0)
    ]
    for line in curves({"x": "is", "y": "fid"}, rows):
        assert list(line.xs) == [100, 200] and list(line.ys) == [2, 4]
        assert line.errors == [0.5, 0.5] and line.x_errors == [7, 7]
    cfg, igg = curves({"y": ["fid", "is"], "labels": ["CFG"]}, rows)
    assert cfg.colour == igg.colour and cfg.point != igg.point and not cfg.x_errors
    cfg, igg = curves({"y": "fid"}, rows)
    assert cfg.xs == pytest.approx([1, 2], abs=0.01) and cfg.xs[0] < igg.xs[0]


def test_a_figure_of_nothing_is_refused(tmp_path: Path, capsys: Any) -> None:
    plan = written(tmp_path, figures=[{"name": "x", "z": "fid"}])
    assert main([plan, "--output", str(tmp_path / "out")]) == 1
    assert "each needs a 'name' and a 'y'" in capsys.readouterr().err


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_models_may_be_loaded_in_half_precision(dtype: str, tmp_path: Path) -> None:
    models = {"scale": {"bundled": "scale", "dtype": dtype}}
    plan = written(tmp_path, models=models, rows=[{"label": "plain"}], seeds=1, each=2)
    assert main([plan, "--output", str(tmp_path / "out"), "--device", "cpu"]) == 0
    [row] = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["rows"]
    assert row["samples"] == 2
