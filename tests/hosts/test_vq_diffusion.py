"""VQ-Diffusion in real hosts: from released layouts to images, through the pack's graph, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ar_guidance.tests.hosts.graphs import Json, add_mask, generate, node
from ar_guidance.tests.hosts.running import RunningHost
from ar_guidance.tests.hosts.test_nodes import images, refusal, same_image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel

CASES = Path(__file__).resolve().parents[1] / "golden" / "cases" / "vq_diffusion"
CLASS, TEXT = CASES / "class_t100", CASES / "text_learnable"
LIST = "taming_vqvae_24.pt"
ORDER = {"stride": 1, "purity": False, "purity_weight": 1.0}


@pytest.fixture
def classes(host: RunningHost) -> tuple[str, str]:
    """The class model as a user keeps it, the codec with its list of kept codes beside it."""
    return install(host, CLASS, "imagenet_learnable.pth", "vqgan_imagenet_f2_64.pth", LIST)


@pytest.fixture
def text(host: RunningHost) -> tuple[str, str]:
    return install(host, TEXT, "ithq_learnable.pth", "ithq_vqvae.pth")


def install(host: RunningHost, case: Path, model: str, codec: str, *beside: str) -> tuple[str, str]:
    """Files of a case in folders of their own; what no weight says stands in a config.json, as the tiny sizes are no release's."""
    models = host.models / "ar_checkpoints" / case.name
    codecs = host.models / "ar_tokenizers" / case.name
    facts = json.loads((case / "case.json").read_text(encoding="utf-8"))["config"]
    for folder, names in ((models, (model,)), (codecs, (codec, *beside))):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in names:
            shutil.copy(case / name, folder)
    settings = {**facts["transformer"], "content_seq_len": facts["content_seq_len"]}
    (models / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    return f"{case.name}/{model}", f"{case.name}/{codec}"


def greedy(files: tuple[str, str], **settings: Any) -> Json:
    """Both of the case's classes without chance."""
    asked = {"classes": "3, 917", "scale": 1.5, "temperature": 0.0} | settings
    return generate(*files, **asked)


def behind(graph: Json, kind: str, **inputs: Any) -> Json:
    """The graph with one more node between sampler and guidance."""
    graph["more"] = node(kind, ar_sampling=["sampler", 0], **inputs)
    graph["cfg"]["inputs"]["ar_sampling"] = ["more", 0]
    return graph


def test_the_official_images(host: RunningHost, classes) -> None:
    """Of the greedy run, as published: guidance 1.5 and truncation 0.94."""
    made = images(host, greedy(classes))
    official = load_file(CLASS / "expected.safetensors")["greedy.image"].movedim(1, -1).numpy()
    assert made.shape == official.shape
    assert np.abs(made - official / 255).max() <= 1 / 255 + 1e-4


def test_progress_preview_and_batches(host: RunningHost, classes) -> None:
    both = images(host, generate(*classes, classes="3, 917", seed=4))
    alone = images(host, generate(*classes, classes="3", seed=4))
    assert same_image(both[0], alone[0]) and not np.array_equal(both[0], both[1])
    result = host.run(generate(*classes, classes="3", seed=5))
    steps = [p for p in result.progress if p.node == "decode"]
    assert steps[-1].value == steps[-1].total == 100


def test_the_order_acts(host: RunningHost, classes) -> None:
    plain = images(host, generate(*classes, classes="3", seed=4))
    graph = behind(
        generate(*classes, classes="3", seed=4), "ARRevealOrder", **ORDER | {"stride": 4}
    )
    result = host.run(graph)
    steps = [p for p in result.progress if p.node == "decode"]
    assert steps[-1].value == steps[-1].total == 26  # 99, 95, ..., 3 and 0
    settings = ORDER | {"purity": True}
    pure = images(
        host, behind(generate(*classes, classes="3", seed=4), "ARRevealOrder", **settings)
    )
    assert not np.array_equal(plain, pure)


def test_guidances_and_maps(host: RunningHost, classes) -> None:
    plain = images(host, greedy(classes))
    graph = greedy(classes)
    graph["ssg"] = node(
        "ARGuidanceSSG",
        ar_sampling=["cfg", 0],
        **{"beta": 0.5, "schedule": "linear decay", "prior": "DSE", "interpolation": "bilinear"},
        **{"amplitude": "verbatim", "start": 0.0, "end": 1.0},
    )
    graph["decode"]["inputs"]["ar_sampling"] = ["ssg", 0]
    assert not np.array_equal(plain, images(host, graph))
    graph["metrics"] = node("ARGuidanceMetrics", ar_trace=["decode", 1])
    graph["map"] = node("ARGuidanceMap", ar_trace=["decode", 1])
    graph["shown"] = node("PreviewImage", images=["map", 0])
    assert host.run(graph).outputs


def test_sweep_and_search(host: RunningHost, classes) -> None:
    """AR Sweep's sheet has both scales; AR Find Scale answers."""
    graph = greedy(classes, classes="3")
    graph["sweep"] = node(
        "ARSweep", first_values="1.5, 3", second_values="", first_name="scale", second_name="second"
    )
    graph["cfg"]["inputs"]["scale"] = ["sweep", 0]
    graph["grid"] = node(
        "ARGrid", images=["decode", 0], ar_sampling=["cfg", 0], columns=0, title="", blind="reveal"
    )
    graph["key"] = node("PreviewAny", source=["grid", 1])
    result = host.run(graph)
    assert (result.status, result.error) == ("success", "")
    assert "1.5" in result.outputs["key"]["text"][0]
    graph = greedy(classes, classes="3")
    add_mask(graph, (8, 8), (0, 0), (4, 8))
    graph["find"] = node(
        "ARFindScale", ar_sampling=["cfg", 0], mask=["mask", 0], min_scale=1.0, max_scale=6.0, probes=4, pictures=1, compare="as they are",
    )  # fmt: skip
    graph["message"] = node("PreviewAny", source=["find", 2])
    graph["save"]["inputs"]["images"] = ["find", 4]
    result = host.run(graph)
    assert (result.status, result.error) == ("success", "")
    assert result.outputs["message"]["text"][0]


def test_tokens_go_round(host: RunningHost, classes) -> None:
    """Image to tokens, tokens to image, and an in-painting that keeps what lies outside the mask."""
    graph = greedy(classes, classes="3")
    graph["again"] = node("ARTokensToImage", ar_model=["load", 0], ar_tokens=["decode", 2])
    graph["save"]["inputs"]["images"] = ["again", 0]
    assert np.array_equal(images(host, graph), images(host, greedy(classes, classes="3")))


# --- text -------------------------------------------------------------------------------------------------------------


def encoder_file(host: RunningHost) -> str:
    """The checkpoint as a text encoder's file, with a vocabulary of words that gives the case's ids: `w5` is number 5."""
    folder = host.models / "text_encoders" / "vq_diffusion"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(TEXT / "ithq_learnable.pth", folder)
    words = {f"w{i}": i for i in range(1, 46)} | {
        "!": 0,
        "<|startoftext|>": 46,
        "<|endoftext|>": 47,
    }
    tokenizer = Tokenizer(WordLevel(words, unk_token="w1"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    (folder / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    return "vq_diffusion/ithq_learnable.pth"


def captioned(files: tuple[str, str], encoder: str, caption: str) -> Json:
    graph = generate(*files, scale=3.0, temperature=0.0)
    graph["clip"] = node(
        "ARLoadTextEncoder",
        **{"text_encoder": encoder, "second_file": "none", "precision": "automatic"},
        **{"clean_captions": False, "prompt_prefix": ""},
    )
    graph["caption"] = node("CLIPTextEncode", clip=["clip", 0], text=caption)
    graph["condition"] = node("ARTextCondition", ar_model=["load", 0], positive=["caption", 0])
    return graph


def test_a_caption_is_read_by_the_tower_in_the_checkpoint(host: RunningHost, text) -> None:
    """The case's ids as words: its greedy image, but for the half precision the reference's tower runs in."""
    expected = load_file(TEXT / "expected.safetensors")
    ids = expected["text.token_ids"][0]
    words = " ".join(f"w{i}" for i in ids.tolist() if 0 < i < 46)
    made = images(host, captioned(text, encoder_file(host), words))
    official = expected["greedy.image"][:1].movedim(1, -1).numpy()
    assert np.abs(made - official / 255).max() <= 1 / 255 + 1e-4


def test_a_text_model_without_its_clip(host: RunningHost, text) -> None:
    graph = captioned(text, encoder_file(host), "w3")
    graph["condition"] = node(
        "ARClassCondition", ar_model=["load", 0], label="no class (unconditional)", classes=""
    )
    assert "reads text, not classes" in refusal(host, graph)
    graph = captioned(text, encoder_file(host), "w3")
    graph["caption"] = node("GivenText", file=other_features(host))
    del graph["clip"]
    assert "reads CLIP ViT-B/32 text tower" in refusal(host, graph)
    assert "at most 77" in refusal(host, captioned(text, encoder_file(host), "w3 " * 90))


def other_features(host: RunningHost) -> str:
    """What another encoder made."""
    save_file(
        {"features": torch.randn(1, 5, 24)}, host.input / "other.safetensors", {"encoder": ""}
    )
    return "other.safetensors"


# --- bad input --------------------------------------------------------------------------------------------------------


def test_the_list_of_kept_codes_is_missing(host: RunningHost, classes) -> None:
    (host.models / "ar_tokenizers" / CLASS.name / LIST).unlink()
    message = refusal(host, greedy(classes))
    assert "knows 24 of the tokenizer's 64 codes" in message and LIST in message


def test_what_cannot_act_says_so(host: RunningHost, classes) -> None:
    graph = behind(generate(), "ARRevealOrder", **ORDER | {"stride": 2})
    assert "AR Reveal Order is for VQ-Diffusion" in refusal(host, graph)
    graph = behind(greedy(classes), "ARRevealOrder", **ORDER | {"stride": 2, "purity": True})
    assert "set stride to 1" in refusal(host, graph)
