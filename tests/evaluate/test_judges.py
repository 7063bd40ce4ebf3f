"""Judges: their libraries' numbers, references of both kinds, and what they refuse."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ar_guidance.tests.evaluate.plans import written
from ar_guidance.tools.evaluate import references
from ar_guidance.tools.evaluate.command import main
from ar_guidance.tools.evaluate.conditions import Asked
from ar_guidance.tools.evaluate.judges import check_judge, open_judge
from ar_guidance.tools.evaluate.judges import geneval as geneval_judge
from ar_guidance.tools.evaluate.judges.clip import prepared
from ar_guidance.tools.evaluate.judges.inception import InceptionJudge, beside
from ar_guidance.tools.evaluate.library import library
from ar_guidance.tools.evaluate.problems import EvaluationError
from ar_guidance.tools.evaluate.references import read_reference
from ar_guidance.tools.evaluate.weights import sha256
from PIL import Image

CPU = torch.device("cpu")


def look(images: torch.Tensor) -> dict[str, np.ndarray]:
    """A judge for tests: mean colours of four corners."""
    pooled = torch.nn.functional.adaptive_avg_pool2d(images.float(), 2)
    return {"features": pooled.flatten(1).numpy(), "spatial": images[:, 0, 0, :5].float().numpy()}


def images(count: int, side: int = 8) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def stored(folder: Path, pixels: np.ndarray) -> Path:
    folder.mkdir()
    for n, one in enumerate(pixels):
        Image.fromarray(one).save(folder / f"{n:04d}.png")
    return folder


def read(path: Path, cache: Path, side: int = 8, stated: int | None = None, most: int = 10) -> Any:
    return read_reference(path, look, (side, side), stated, cache, "key", most)


def test_a_folder_and_an_array_of_the_same_images_are_one_reference(tmp_path: Path) -> None:
    pixels = images(60)
    np.savez(tmp_path / "images.npz", arr_0=pixels)
    a = read(stored(tmp_path / "folder", pixels), tmp_path / "a")
    b = read(tmp_path / "images.npz", tmp_path / "b")
    features = look(torch.from_numpy(pixels).permute(0, 3, 1, 2))["features"]
    np.testing.assert_allclose(a.features.covariance, np.cov(features, rowvar=False), rtol=1e-6)
    for name in ("features", "spatial"):
        assert np.array_equal(getattr(a, name).mean, getattr(b, name).mean)
    assert np.array_equal(a.rows, features[::6])


def test_a_reference_is_looked_at_once(tmp_path: Path, monkeypatch: Any) -> None:
    folder = stored(tmp_path / "folder", images(20))
    first = read(folder, tmp_path / "cache")
    monkeypatch.setattr(references, "_moments", None)
    again = read(folder, tmp_path / "cache")
    assert np.array_equal(first.features.covariance, again.features.covariance)


def test_statistics_of_the_adm_evaluator_are_read(tmp_path: Path) -> None:
    mu, sigma = np.arange(3.0), np.eye(3)
    np.savez(tmp_path / "stats.npz", mu=mu, sigma=sigma, mu_s=mu[:2], sigma_s=sigma[:2, :2])
    found = read(tmp_path / "stats.npz", tmp_path, stated=8)
    assert np.array_equal(found.features.mean, mu) and found.spatial.mean.shape == (2,)
    assert found.rows is None


def test_references_of_another_resolution_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", arr_0=images(4, 16))
    np.savez(tmp_path / "stats.npz", mu=np.zeros(2), sigma=np.eye(2))
    mixed = stored(tmp_path / "mixed", images(3))
    Image.new("RGB", (9, 8)).save(mixed / "9999.png")
    for path, stated in (
        (tmp_path / "images.npz", None),
        (tmp_path / "stats.npz", 256),
        (mixed, None),
    ):
        with pytest.raises(EvaluationError, match="but the samples have 8x8"):
            read(path, tmp_path / "cache", stated=stated)
    with pytest.raises(EvaluationError, match="name it under 'resolution'"):
        read(tmp_path / "stats.npz", tmp_path)


def test_what_is_no_reference_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("words")
    np.savez(tmp_path / "other.npz", x=np.zeros(2))
    np.savez(tmp_path / "code.npz", arr_0=np.array([object()], dtype=object))
    np.savez(tmp_path / "floats.npz", arr_0=np.zeros((2, 8, 8, 3)))
    (tmp_path / "empty").mkdir()
    for name, said in (
        ("text.npz", "neither a folder"),
        ("other.npz", "it holds x"),
        ("code.npz", "arr_0 must hold images"),
        ("floats.npz", "of bytes"),
        ("empty", "0 images"),
    ):
        with pytest.raises(EvaluationError, match=said):
            read(tmp_path / name, tmp_path)


@pytest.fixture(scope="module")
def inception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library's network with random weights, as a file."""
    path = tmp_path_factory.mktemp("inception") / "inception.pth"
    module = library("feature_extractor_inceptionv3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        torch.manual_seed(0)
        network = module.FeatureExtractorInceptionV3("random", ["2048"])
    torch.save(network.state_dict(), path)
    return path


def test_inception_features_are_the_librarys(inception: Path) -> None:
    options = {
        "weights": str(inception),
        "sha256": sha256(inception),
        "reference": str(inception.parent),
    }
    check_judge("inception", options, Path())
    judge: Any = open_judge("inception", options, Path(), CPU)
    pixels = torch.from_numpy(images(2, 32)).permute(0, 3, 1, 2)
    found = judge.look(pixels.float() / 127.5 - 1, Asked((None, None)))
    theirs = judge.network(pixels)
    assert np.array_equal(found["features"], theirs[0].numpy())
    assert np.array_equal(found["logits"], theirs[1].numpy())
    assert found["spatial"].shape == (2, 7 * 17 * 17)


def test_other_inception_weights_are_refused(inception: Path, tmp_path: Path) -> None:
    options = {"weights": str(inception), "reference": str(inception.parent)}
    with pytest.raises(EvaluationError, match="numbers of another network cannot be compared"):
        check_judge("inception", options, Path())
    bad = tmp_path / "code.pth"
    bad.write_bytes(pickle.dumps(print))
    with pytest.raises(EvaluationError, match="is no file of weights"):
        open_judge("inception", options | {"weights": str(bad), "sha256": sha256(bad)}, Path(), CPU)
    with pytest.raises(EvaluationError, match="needs 'reference'"):
        check_judge("inception", {"weights": str(inception)}, Path())


def test_precision_recall_and_kid_are_the_librarys() -> None:
    rng = np.random.default_rng(0)
    real = rng.normal(size=(300, 8)).astype("f4")
    same = beside(rng.normal(size=(300, 8)).astype("f4"), real)
    far = beside(rng.normal(size=(300, 8)).astype("f4") + 9, real)
    assert same["precision"].value > 0.8 and same["recall"].value > 0.8
    assert far["precision"].value < 0.1 and far["kid"].value > 100 * abs(same["kid"].value)


def test_a_plan_with_inception_runs(inception: Path, tmp_path: Path, monkeypatch: Any) -> None:
    real = InceptionJudge.look_at_bytes

    def narrow(judge: InceptionJudge, pixels: torch.Tensor) -> dict[str, np.ndarray]:
        """Square roots of 2048 x 2048 matrices take minutes on a small machine."""
        return {name: rows[:, :40] for name, rows in real(judge, pixels).items()}

    monkeypatch.setattr(InceptionJudge, "look_at_bytes", narrow)
    reference = stored(tmp_path / "real", images(12, 64))
    options = {"weights": str(inception), "sha256": sha256(inception), "reference": str(reference)}
    plan = written(
        tmp_path, judges=[{"inception": options}], rows=[{"label": "plain"}], seeds=1, blocks=2
    )
    assert main([plan, "--output", str(tmp_path / "out"), "--device", "cpu"]) == 0
    [row] = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["rows"]
    assert {"fid", "is", "sfid", "kid", "precision", "recall"} == set(row["metrics"])
    assert row["metrics"]["fid"]["value"] > 0


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP with random weights in transformers' layout."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("clip")
    vocabulary = {word: n for n, word in enumerate(["<end>", "a", "cat", "dog", "red"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<end>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()  # pyright: ignore[reportAttributeAccessIssue]
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>")
    fast.save_pretrained(folder)
    sizes = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    config = CLIPConfig(
        text_config={**sizes, "vocab_size": 5, "max_position_embeddings": 6, "eos_token_id": 0},
        vision_config={**sizes, "image_size": 16, "patch_size": 8},
        projection_dim=8,
    )
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind,factor", [("clip", 1.0), ("pickscore", None), ("hps", 100.0)])
def test_clip_scores_are_cosines(kind: str, factor: float | None, clip_folder: Path) -> None:
    from transformers import AutoTokenizer, CLIPModel

    check_judge(kind, {"model": str(clip_folder)}, Path())
    judge: Any = open_judge(kind, {"model": str(clip_folder)}, Path(), CPU)
    pixels = images(3, 40)
    asked = Asked((None, None), prompts=("a cat", "a red dog", "dog"))
    found = judge.look(torch.from_numpy(pixels).permute(0, 3, 1, 2) / 127.5 - 1, asked)["score"]
    network = CLIPModel.from_pretrained(clip_folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(clip_folder)
    words = tokenizer(list(asked.prompts), padding="max_length", max_length=6, return_tensors="pt")
    given = {name: words[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        squares = torch.stack([prepared(one, 16) for one in pixels])
        theirs = network(pixel_values=squares, **given).logits_per_image.diagonal()
    scale = float(network.logit_scale.detach().exp())
    wanted = theirs.numpy() / scale * (scale / 100 if factor is None else factor)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_judge_of_words_needs_words(clip_folder: Path, tmp_path: Path, capsys: Any) -> None:
    plan = written(tmp_path, judges=[{"clip": {"model": str(clip_folder)}}])
    assert main([plan, "--output", str(tmp_path / "out"), "--device", "cpu"]) == 1
    assert "compares images with their words" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name,options,said",
    [
        ("clip", {}, "needs 'model'"),
        ("clip", {"model": "none"}, "is not there"),
        ("clip", {"model": "file.bin"}, "name open_clip's 'architecture'"),
        ("image_reward", {}, "pip install image-reward"),
        ("geneval", {}, "needs 'metadata'"),
        ("geneval", {"metadata": "file.bin"}, "no file of JSON lines"),
        ("bundled", {"x": 1}, "unknown option 'x'"),
    ],
)
def test_judges_say_what_they_need(name: str, options: dict, said: str, tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_text("not json")
    with pytest.raises(EvaluationError, match=said):
        check_judge(name, options, tmp_path)


def test_geneval_is_laid_out_and_read(tmp_path: Path) -> None:
    entries = [{"tag": "colors", "prompt": "a red cup"}, {"tag": "counting", "prompt": "two cups"}]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, entries)), encoding="utf-8")
    results = [{"tag": "colors", "correct": True}, {"tag": "counting", "correct": True}]
    results += [{"tag": "counting", "correct": False}] * 3
    (tmp_path / "scale-plain.jsonl").write_text(
        "\n".join(map(json.dumps, results)), encoding="utf-8"
    )
    options = {"metadata": "metadata.jsonl", "results": "SETTING.jsonl"}
    changes = {
        "judges": [{"geneval": options}],
        "rows": [{"label": "plain"}],
        "keep": "png",
        "seeds": 1,
    }
    plan = written(tmp_path, **changes)
    arguments = [plan, "--output", str(tmp_path / "out"), "--weights", str(tmp_path)]
    assert main([*arguments, "--device", "cpu"]) == 0
    folder = tmp_path / "out" / "geneval" / "scale-plain"
    assert json.loads((folder / "00001" / "metadata.jsonl").read_text()) == entries[1]
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    assert names == [f"0000{p}/samples/000{turn}.png" for p in (0, 1) for turn in (0, 1)]
    [row] = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["rows"]
    assert row["metrics"]["geneval"]["value"] == pytest.approx((1 + 0.25) / 2)
    assert geneval_judge.scores(results)["geneval counting"].value == pytest.approx(0.25)
