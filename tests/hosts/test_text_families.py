"""Text-to-image in real hosts: model file, text encoder file and prompt -> image, and what an artist sees when one is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.schedule import Schedule
from ar_guidance.loaders.detect import find_part, fitted
from ar_guidance.loaders.read import read_weights
from ar_guidance.models.llamagen import left_pad
from ar_guidance.models.parts.levels import level_index
from ar_guidance.models.parts.text import TextCondition
from ar_guidance.models.switti.blocks import SwittiConfig
from ar_guidance.models.switti.network import FAMILY as switti_family
from ar_guidance.models.switti.network import Switti
from ar_guidance.sampling.draw import Filters, Streams, StreamSampler
from ar_guidance.sampling.tokenwise import TokenwiseJob
from ar_guidance.sampling.tokenwise import generate as sample
from ar_guidance.tests.hosts.graphs import cfg, node
from ar_guidance.tests.hosts.running import RunningHost, run_inside
from ar_guidance.tests.hosts.test_nodes import images, put, refusal
from ar_guidance.tests.tiny import TinyModel, randomise
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
from safetensors.torch import load_file

CASES = Path(__file__).resolve().parents[1] / "golden" / "cases"
VAR_CLIP = CASES / "var_clip" / "d2_text"
WORDS = {f"w{i}": i for i in range(3, 510)}  # one word per id of the golden case's text tower
GOLDEN_PROMPT = "W300 w17  w44 w9 w250"  # cleaned: lower case, single blanks
CPU = torch.device("cpu")


def from_text(
    files: tuple[str, str, str],
    prompts: tuple[str, ...],
    negative: str | None = None,
    scale: float = 5.0,
    encoder: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Model, encoder, prompts, sampler, CFG, decode, save: node ids are the words here."""
    checkpoint, tokenizer, text_encoder = files
    settings = {"second_file": "none", "precision": "float32"} | (encoder or {})
    graph = {
        "load": node("ARLoadCheckpoint", checkpoint=checkpoint, tokenizer=tokenizer),
        "clip": node("ARLoadTextEncoder", text_encoder=text_encoder, **settings),
        "condition": node("ARTextCondition", ar_model=["load", 0], positive=["text0", 0]),
        "sampler": node(
            "ARSampler",
            ar_model=["load", 0],
            ar_conditioning=["condition", 0],
            **{"seed": 1, "batch_size": 1, "temperature": 0.0},
            **{"top_k": -1, "top_p": -1.0, "min_p": 0.0},
        ),
        "cfg": cfg(["sampler", 0], scale),
        "decode": node("ARDecode", ar_sampling=["cfg", 0]),
        "save": node("SaveImage", images=["decode", 0], filename_prefix="test"),
    }
    for index, prompt in enumerate(prompts):
        graph[f"text{index}"] = node("CLIPTextEncode", text=prompt, clip=["clip", 0])
        if index:
            before = graph["condition"]["inputs"]["positive"]
            both = {"conditioning_1": before, "conditioning_2": [f"text{index}", 0]}
            graph[f"both{index}"] = node("ConditioningCombine", **both)
            graph["condition"]["inputs"]["positive"] = [f"both{index}", 0]
    if negative is not None:
        graph["negative"] = node("CLIPTextEncode", text=negative, clip=["clip", 0])
        graph["condition"]["inputs"]["negative"] = ["negative", 0]
    return graph


@pytest.fixture
def var_clip(host: RunningHost) -> tuple[str, str, str]:
    """The golden case's files; its text tower with words for the ids it was run with."""
    file = "var_clip/ar-ckpt-last.pth"
    put(host, "ar_checkpoints", file, (VAR_CLIP / "ar-ckpt-last.pth").read_bytes())
    special = {"<|startoftext|>": 510, "<|endoftext|>": 511}
    write_tokenizer(host.models / "text_encoders" / "var_clip", special, WORDS)
    tower = torch.load(VAR_CLIP / "clip_text.pt", weights_only=True)
    return (
        file,
        "automatic",  # the training checkpoint holds both
        put(host, "text_encoders", "var_clip/clip.safetensors", tower, {"heads": "2"}),
    )


@pytest.fixture
def llamagen(host: RunningHost) -> tuple[str, str, str]:
    """The golden class-conditional network with a caption's prefix of 8 in place of its classes, and a tiny flan-T5."""
    network = torch.load(CASES / "llamagen" / "c2i_square4" / "c2i_tiny_8.pt", weights_only=True)
    network = {k: v for k, v in network["model"].items() if "cls_embedding" not in k}
    width = network["tok_embeddings.weight"].shape[1]
    generator = torch.Generator().manual_seed(5)
    for key, shape in (
        ("cap_proj.fc1.weight", (width, 12)),
        ("cap_proj.fc2.weight", (width, width)),
        ("uncond_embedding", (8, 12)),
    ):
        network[f"cls_embedding.{key}"] = 0.3 * torch.randn(shape, generator=generator)
    network.pop("freqs_cis", None)
    codec = torch.load(CASES / "llamagen" / "c2i_square4" / "vq_ds2_c2i.pt", weights_only=True)
    folder = host.models / "text_encoders" / "flan"
    write_tokenizer(folder, T5_SPECIAL)
    save_model(tiny_t5(), folder / "model.safetensors", shards=2)
    known = {"heads": "4", "side": "4"}
    return (
        put(host, "ar_checkpoints", "t2i.safetensors", network, known),
        put(host, "ar_tokenizers", "t2i_vq.safetensors", codec.get("model", codec)),
        "flan/model-00002-of-00002.safetensors",
    )


# --- images ---------------------------------------------------------------------------------------------------------


def test_var_clip_gives_the_official_image(host: RunningHost, var_clip) -> None:
    """The golden run from its prompt: 'family default' is its ramp, scale 5 its cfg 4."""
    official = load_file(VAR_CLIP / "expected.safetensors")["image"][0].movedim(0, -1).numpy()
    image = images(host, from_text(var_clip, (GOLDEN_PROMPT,)))[0]
    assert np.abs(image - official).max() <= 1 / 255 + 1e-4


def llamagen_images(host: RunningHost, files: tuple[str, str, str], prompts: tuple[str, ...]):
    """The same without the host: features by `transformers`, then the pack's loop."""
    main = find_part(read_weights(host.models / "ar_checkpoints" / files[0]), "transformer")
    codec = fitted(
        main, find_part(read_weights(host.models / "ar_tokenizers" / files[1]), "tokenizer")
    )
    network, decoder = (part.family.build(part.config).eval() for part in (main, codec))
    network.load_state_dict(main.tensors)
    decoder.load_state_dict(codec.tensors)
    encoder, texts = tiny_t5(), [[*ids_of(prompt), 1] for prompt in prompts]
    features, mask = torch.zeros(len(texts), 8, 12), torch.zeros(len(texts), 8, dtype=torch.long)
    with torch.inference_mode():
        for row, ids in enumerate(texts):
            features[row, : len(ids)] = encoder(torch.tensor([ids])).last_hidden_state[0]
            mask[row, : len(ids)] = 1
        batch = len(prompts)
        job = TokenwiseJob(
            conditions=(left_pad(features, mask), network.null_condition(batch)),
            batch=batch,
            run=RunInfo("token", ((1, 1),) * 16, published=Schedule("constant")),
            chain=Chain((CFG(3.0),)),
            draw=StreamSampler(Filters(temperature=0), Streams(1, batch)),
        )
        tokens = sample(network, job, CPU).tokens
        made = decoder.decode(decoder.lookup(tokens, (4, 4)))
    return (made.movedim(1, -1) * 0.5 + 0.5).clamp(0, 1).numpy()


def test_llamagen_draws_what_its_encoder_read(host: RunningHost, llamagen) -> None:
    """Three prompts of different lengths, one of them empty, from a sharded encoder."""
    prompts = ("a red bird on the grass", "blue bird", "")
    made = images(host, from_text(llamagen, prompts, scale=3.0))
    expected = llamagen_images(host, llamagen, prompts)
    assert made.shape == expected.shape
    assert np.abs(made - expected).max() <= 1 / 255 + 1e-4
    assert not np.array_equal(made[0], made[1])


@pytest.fixture
def switti(host: RunningHost) -> tuple[TinyModel, tuple[str, str, str]]:
    """A tiny Switti that reads two tiny CLIP towers, without the host and as files; the golden case's image tokenizer."""
    sides, vq = (1, 2, 3, 4), CASES / "switti" / "noncausal" / "vqvae" / "model.safetensors"
    part = find_part(read_weights(vq), "tokenizer")
    config = SwittiConfig(
        2, 32, 2, part.config.vocab, part.config.dim, sides, 48, 320, 192, causal=False
    )
    network, codec = Switti(config).eval(), part.family.build(part.config).eval()
    randomise(network)
    codec.load_state_dict(part.tensors)
    put(host, "ar_checkpoints", "pair/config.json", b'{"use_ar": false, "num_heads": 2}')
    folder = host.models / "text_encoders" / "pair"
    write_tokenizer(folder, CLIP_SPECIAL)
    for width, activation in ((128, "quick_gelu"), (192, "gelu")):
        save_model(tiny_clip(width, activation), folder / f"clip_{width}.safetensors")
    weights = network.state_dict() | {"lvl_1L": level_index(sides)}
    return TinyModel(network, codec, family=switti_family), (
        put(host, "ar_checkpoints", "pair/model.safetensors", weights),
        put(host, "ar_tokenizers", "pair_vq.safetensors", vq.read_bytes()),
        "pair/clip_192.safetensors",
    )


def pair_reads(prompt: str) -> TextCondition:
    """A prompt as the release encodes it, by `transformers`."""
    ids = torch.tensor([[38, *ids_of(prompt), 39]])
    with torch.inference_mode():
        towers = tiny_clip(), tiny_clip(192, "gelu")
        read = [tower.text_model(ids) for tower in towers]
    features = torch.cat([one.last_hidden_state for one in read], -1)
    return TextCondition(features, torch.ones(ids.shape, dtype=torch.bool), read[1].pooler_output)


def test_switti_draws_what_its_two_encoders_read(host: RunningHost, switti) -> None:
    model, files = switti
    graph = from_text(
        files, ("a red bird",), "", scale=4.0, encoder={"second_file": "pair/clip_128.safetensors"}
    )
    graph["sampler"]["inputs"]["smooth"] = "off"
    image = images(host, graph)[0]
    model.condition = lambda numbers: pair_reads("a red bird")
    model.null = lambda batch: pair_reads("")
    drawn = model.sample([0], (CFG(4.0),), filters=Filters(temperature=0))
    with torch.inference_mode():
        expected = model.codec.decode(drawn.features)[0].movedim(0, -1).numpy() * 0.5 + 0.5
    assert np.abs(image - expected.clip(0, 1)).max() <= 1 / 255 + 1e-4
    del graph["condition"]["inputs"]["negative"]
    assert "needs the negative input" in refusal(host, graph)


def test_text_is_encoded_once_and_the_encoder_read_once(host: RunningHost, llamagen) -> None:
    """A change behind the condition leaves loader and encoder in the host's cache."""
    host.run(from_text(llamagen, ("bird of glass",), scale=2.0))
    again = host.run(from_text(llamagen, ("bird of glass",), scale=2.5))
    assert again.status == "success"
    assert {"clip", "text0", "condition"} <= set(again.cached)


def test_a_file_put_beside_the_encoder_later_is_read(host: RunningHost, llamagen) -> None:
    graph = from_text(llamagen, ("bird of glass",), scale=2.0)
    host.run(graph)
    assert {"load", "clip"} <= set(host.run(graph).cached)
    folder = (host.models / "text_encoders" / llamagen[2]).parent
    added = folder / "prompt_prefix.txt"
    added.write_text("draw")
    again = host.run(graph)
    added.unlink()
    assert again.status == "success" and "load" in again.cached and "clip" not in again.cached


def test_weights_and_negatives_act(host: RunningHost, llamagen) -> None:
    plain = images(host, from_text(llamagen, ("a red bird",)))
    weighted = images(host, from_text(llamagen, ("a (red:1.8) bird",)))
    against = images(host, from_text(llamagen, ("a red bird",), negative="blue grass"))
    assert not np.array_equal(plain, weighted) and not np.array_equal(plain, against)


def test_encoders_that_do_not_fit_leave_nothing_stranded(
    host: RunningHost, var_clip, llamagen
) -> None:
    folders = ("ar_checkpoints", "ar_tokenizers", "text_encoders")
    paths = [host.models / folder / name for folder, name in zip(folders, llamagen, strict=True)]
    paths.append(host.models / "text_encoders" / var_clip[2])
    printed = run_inside(host.process.host, "partial_load", *paths)
    assert printed.count("stayed behind") == 4


def test_the_encoder_is_given_back_where_memory_is_short(host: RunningHost, llamagen) -> None:
    folders = ("ar_checkpoints", "ar_tokenizers", "text_encoders")
    paths = [host.models / folder / name for folder, name in zip(folders, llamagen, strict=True)]
    printed = run_inside(host.process.host, "encoder_inside", *paths)
    ample, short = map(json.loads, printed.splitlines())
    assert ample["size"] == ample["before"] == ample["drawing"] > 0
    assert short["before"] == short["size"] and short["drawing"] == 0 and short["same"]


# --- bad input --------------------------------------------------------------------------------------------------------


def test_a_wrong_text_encoder_is_refused_by_name(host: RunningHost, var_clip, llamagen) -> None:
    swapped = (*var_clip[:2], llamagen[2])
    message = refusal(host, from_text(swapped, ("a bird",)))
    assert "reads CLIP ViT-L/14" in message and "comes from flan-T5-XL" in message
    assert "AR Load Text Encoder" in message
    swapped = (*llamagen[:2], var_clip[2])
    assert "reads flan-T5-XL" in refusal(host, from_text(swapped, ("w9",)))
    write_tokenizer(host.models / "text_encoders" / "other", CLIP_SPECIAL)
    save_model(tiny_clip(), host.models / "text_encoders" / "other" / "clip.safetensors")
    other = (*var_clip[:2], "other/clip.safetensors")
    assert "is 128 wide instead of 24" in refusal(host, from_text(other, ("a bird",)))


def test_a_stock_encoder_is_refused_before_its_length_is(host: RunningHost, llamagen) -> None:
    """ComfyUI's loader takes flan-T5-XL for another T5, whose 256 rows are not a prompt that is too long."""
    graph = from_text(llamagen, ("a red bird",))
    graph["clip"] = node("StockEncoder", encoder="T5-XL", width=12)
    message = refusal(host, graph)
    assert "does not come from AR Load Text Encoder" in message and "tokens" not in message
    assert "Use AR Load Text Encoder with the flan-T5-XL file" in message


def test_harts_encoder_says_that_its_instruction_is_missing(host: RunningHost, llamagen) -> None:
    folder = host.models / "text_encoders" / "qwen"
    write_tokenizer(folder, QWEN_SPECIAL)
    save_model(tiny_qwen(folder), folder / "model.safetensors")
    graph = from_text((*llamagen[:2], "qwen/model.safetensors"), ("a bird",))
    assert "comes from Qwen2-1.5B" in refusal(host, graph)
    assert "Save the release's as prompt_prefix.txt" in host.process.log_text()


def test_too_long_prompts_and_weights_that_cannot_act(
    host: RunningHost, var_clip, llamagen
) -> None:
    message = refusal(host, from_text(llamagen, ("bird " * 8,)))
    assert "positive: this prompt has 9 tokens" in message and "at most 8" in message
    assert "has 78 tokens" in refusal(host, from_text(var_clip, ("w7 " * 76,)))
    assert "remove the weights" in refusal(host, from_text(var_clip, ("(w7:1.2) w8",)))


def test_files_that_are_no_text_encoder(host: RunningHost, llamagen) -> None:
    folder = host.models / "text_encoders" / "flan"
    first = folder / "model-00001-of-00002.safetensors"
    first.rename(folder / "elsewhere")
    message = refusal(host, from_text(llamagen, ("a red bird", "shard")))
    (folder / "elsewhere").rename(first)
    assert "1 of its 2 files are missing (model-00001-of-00002.safetensors)" in message
    codec = torch.load(CASES / "llamagen" / "c2i_square4" / "vq_ds2_c2i.pt", weights_only=True)
    wrong = put(host, "text_encoders", "vq.safetensors", codec.get("model", codec))
    message = refusal(host, from_text((*llamagen[:2], wrong), ("a bird",)))
    assert "vq.safetensors: no text encoder" in message
    damaged = put(host, "text_encoders", "cut.safetensors", b"\x10\x00\x00")
    assert "cut.safetensors" in refusal(host, from_text((*llamagen[:2], damaged), ("a bird",)))
    write_tokenizer(folder, T5_SPECIAL, {f"w{i}": i for i in range(3, 60)})
    message = refusal(host, from_text(llamagen, ("a bird of glass",)))
    assert "knows only 40" in message and "tokenizer.json" in message


def test_a_class_condition_and_a_text_model(host: RunningHost, llamagen) -> None:
    graph = from_text(llamagen, ("a bird",))
    graph["condition"] = node(
        "ARClassCondition",
        ar_model=["load", 0],
        label="no class (unconditional)",
        classes="",
    )
    assert "AR Text Condition" in refusal(host, graph)
    graph = from_text(("bundled: emoji 64x64", "automatic", llamagen[2]), ("a bird",))
    assert "AR Class Condition" in refusal(host, graph)
