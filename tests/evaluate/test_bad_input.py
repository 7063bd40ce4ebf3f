"""Bad input: refused in words, before a sample is made where that is possible, and finished samples stay."""

import datetime
import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ar_guidance.tests.evaluate.plans import small, written
from ar_guidance.tools.evaluate import command, references
from ar_guidance.tools.evaluate.command import main
from ar_guidance.tools.evaluate.judges import check_judge, inception
from ar_guidance.tools.evaluate.judges.geneval import scores
from ar_guidance.tools.evaluate.models import load, resolution_of
from ar_guidance.tools.evaluate.plan_file import ROW, TOP, make_plan
from ar_guidance.tools.evaluate.problems import EvaluationError
from ar_guidance.tools.evaluate.references import check_reference, read_reference
from ar_guidance.tools.evaluate.store import Store
from ar_guidance.tools.evaluate.weights import check_hashes, files_of
from ar_guidance.tools.evaluate.work import Worker
from PIL import Image

ODD = [
    *(None, True, 3, -1, 0.5, float("nan"), float("inf"), "", "x", "../x"),
    *([], [3], [None], [[1]], ["x"], [{"x": {}}], {}, {"x": 1}, {"x": {"y": [1]}}, {3: {}}),
    datetime.date(2026, 1, 1),
]


def quietly(content: dict[str, Any]) -> None:
    """Read and check a plan; only problems in words may come of it."""
    try:
        command.check(make_plan(content), Path("none"))
    except EvaluationError as error:
        assert str(error)


@pytest.mark.parametrize("name", sorted(TOP))
def test_whatever_a_plan_says_is_read_or_refused_in_words(name: str) -> None:
    for odd in ODD:
        quietly(small(**{name: odd}))


@pytest.mark.parametrize("name", sorted(ROW))
def test_whatever_a_row_says_is_read_or_refused_in_words(name: str) -> None:
    for odd in ODD:
        row = {"label": "a", "chain": [{"cfg": {"scale": 2}}]}
        quietly(small(rows=[row | {name: odd}]))


@pytest.mark.parametrize(
    "name", ["bundled", "transformer", "tokenizer", "sha256", "dtype", "resized"]
)
def test_whatever_a_model_says_is_read_or_refused_in_words(name: str) -> None:
    for odd in ODD:
        quietly(small(models={"scale": {"bundled": "scale"} | {name: odd}}))


@pytest.mark.parametrize(
    "changes,said",
    [
        ({"rows": [{"label": "a", "paper": {"fid": "low"}}]}, "'paper': a metric's number"),
        ({"rows": [{"label": "a", "strength": float("nan")}]}, "a strength must be a number"),
        ({"rows": [{"label": "a", "chain": "cfg"}]}, "'chain' must be a list"),
        ({"sampler": {"top_p": float("nan")}}, "neither a finite number nor words"),
        ({"sampler": 3}, "'sampler' must hold names and values"),
        ({"judges": [3]}, "a judge is its name"),
        ({"trace": ["softmax"]}, "'trace' must be"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        make_plan(small(**changes))


def test_a_figure_stays_in_its_folder() -> None:
    with pytest.raises(EvaluationError, match="the name becomes a file's"):
        command.check(make_plan(small(figures=[{"name": "../x", "y": "fid"}])), Path())


@pytest.mark.parametrize(
    "hashes,said",
    [
        ({"transformr": "abcd"}, "'sha256' names 'transformr', but this model's files are"),
        ({"transformer": 12345678}, "in quotes"),
        ({"transformer": ""}, "in quotes"),
        ("abcd1234", "in quotes"),
    ],
)
def test_a_hash_that_would_check_nothing_is_refused(hashes: Any, said: str) -> None:
    spec = {"bundled": "scale", "sha256": hashes}
    with pytest.raises(EvaluationError, match=said):
        check_hashes("scale", spec, files_of("scale", spec, Path()))


@pytest.mark.parametrize("kind", ["scale", "token"])
def test_the_resolution_is_known_without_a_network(kind: str) -> None:
    spec = {"bundled": kind}
    model = load(kind, spec, Path(), torch.device("cpu"))
    assert resolution_of(kind, spec, Path()) == model.resolution == (64, 64)


def plan_with(reference: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Arguments of a run judged by Inception against a reference; its samples may not be made."""

    def never(*_: Any) -> None:
        raise AssertionError("made a sample")

    monkeypatch.setattr(Worker, "make", never)
    monkeypatch.setattr(inception, "_check_hash", lambda *_: "")
    (folder / "weights.pth").write_bytes(b"")
    options = {"weights": str(folder / "weights.pth"), "reference": str(reference)}
    plan = written(folder, judges=[{"inception": options | {"resolution": 64}}])
    return [plan, "--device", "cpu", "--output", str(folder / "out")]


def test_a_reference_of_another_resolution_is_refused_before_a_sample_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    np.savez(tmp_path / "large.npz", arr_0=np.zeros((3, 256, 256, 3), np.uint8))
    assert main(plan_with(tmp_path / "large.npz", tmp_path, monkeypatch)) == 1
    said = capsys.readouterr().err
    assert "large.npz is of 256x256 pixels, but the samples have 64x64" in said


def test_statistics_of_another_network_are_refused_before_a_sample_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    np.savez(tmp_path / "clip.npz", mu=np.zeros(512), sigma=np.eye(512))
    assert main(plan_with(tmp_path / "clip.npz", tmp_path, monkeypatch)) == 1
    assert "mu has 512 numbers, but this judge's network gives 2048" in capsys.readouterr().err


@pytest.mark.parametrize(
    "mean,covariance,said",
    [
        (np.full(4, np.nan), np.eye(4), "not all of mu and sigma are finite"),
        (np.zeros(4), np.full((4, 4), np.inf), "not all of mu and sigma are finite"),
        (np.zeros(4), np.eye(3), "sigma N x N"),
        (np.zeros((4, 1)), np.eye(4), "a row of N numbers"),
        (np.array([object()]), np.eye(1), "cannot be read"),
    ],
)
def test_broken_statistics_are_refused(
    mean: np.ndarray, covariance: np.ndarray, said: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "stats.npz", mu=mean, sigma=covariance)
    with pytest.raises(EvaluationError, match=said):
        check_reference(tmp_path / "stats.npz", (8, 8), 8, {"features": 4, "spatial": 2})


def look(images: torch.Tensor) -> dict[str, np.ndarray]:
    return {"features": images.float().mean((2, 3)).numpy()}


def some_images(folder: Path) -> Path:
    folder.mkdir()
    for n in range(4):
        pixels = np.random.default_rng(n).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{n}.png")
    return folder


def test_a_damaged_archive_and_a_damaged_image_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", arr_0=np.zeros((3, 8, 8, 3), np.uint8))
    (tmp_path / "half.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:150])
    folder = some_images(tmp_path / "real")
    (folder / "2.png").write_bytes((folder / "2.png").read_bytes()[:80])
    for path in (tmp_path / "half.npz", folder):
        with pytest.raises(EvaluationError, match=f"reference .*{path.name}"):
            read_reference(path, look, (8, 8), None, tmp_path / "cache", "key", 10)


def full(*_: Any) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")


def test_a_full_disk_under_a_reference_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = some_images(tmp_path / "real")
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(EvaluationError, match="the disk is full. All finished samples are kept"):
        read_reference(folder, look, (8, 8), None, tmp_path / "cache", "key", 10)
    assert not list((tmp_path / "cache").iterdir())


def test_a_full_disk_anywhere_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Where a library writes, as GenEval's layout and the lock do."""
    monkeypatch.setattr(Store, "begin", full)
    assert main([written(tmp_path), "--device", "cpu", "--output", str(tmp_path / "out")]) == 1
    assert "error: somewhere: cannot be written: the disk is full" in capsys.readouterr().err


def test_a_stop_by_hand_is_said_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    real, made = Worker.make, []

    def stopped(worker: Worker, shard: Any) -> Any:
        if len(made) == 1:
            raise KeyboardInterrupt
        made.append(shard)
        return real(worker, shard)

    arguments = [written(tmp_path, rows=[{"label": "plain"}], seeds=1), "--device", "cpu"]
    arguments += ["--output", str(tmp_path / "out")]
    monkeypatch.setattr(Worker, "make", stopped)
    assert main(arguments) == 130
    assert "the same command goes on from here" in capsys.readouterr().err
    monkeypatch.setattr(Worker, "make", real)
    assert main(arguments) == 0
    assert main([*arguments[:-1], str(tmp_path / "other")]) == 0
    for name in ("report.json", "report.md"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_results_of_another_evaluator_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no results of GenEval's evaluator"):
        scores([{"prompt": "a cat"}])
    (tmp_path / "metadata.jsonl").write_text("[]\n")
    with pytest.raises(EvaluationError, match="has no entries"):
        check_judge("geneval", {"metadata": "metadata.jsonl"}, tmp_path)


def test_geneval_counts_images_and_prompts() -> None:
    """As `summary_scores.py` prints them: a prompt is correct where one of its images is."""
    results = [
        {"tag": tag, "metadata": prompt, "correct": right}
        for tag, prompt, rights in (
            ("a", "{1}", (1, 0)),
            ("a", "{2}", (0, 0)),
            ("b", "{3}", (1, 1)),
        )
        for right in rights
    ]
    found = {name: one.value for name, one in scores(results).items()}
    assert found["geneval"] == pytest.approx((1 / 4 + 1) / 2)
    assert found["geneval images"] == pytest.approx(3 / 6)
    assert found["geneval prompts"] == pytest.approx(2 / 3)


def test_the_reference_module_reads_no_image_to_check(tmp_path: Path, monkeypatch: Any) -> None:
    folder = some_images(tmp_path / "real")
    monkeypatch.setattr(references, "_pixels", full)
    check_reference(folder, (8, 8), None, {"features": 3, "spatial": 1})
