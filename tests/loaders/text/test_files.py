"""Text encoders in files: recognised by contents, whatever wraps them; refused with what they are."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from ar_guidance.loaders.read import CheckpointError
from ar_guidance.loaders.text import tokenizers as text
from ar_guidance.loaders.text.files import find_encoder
from ar_guidance.loaders.text.tokenizers import READINGS, PromptTokenizer, read_tokenizer
from ar_guidance.models.text.clip import ClipText, ClipTextConfig
from ar_guidance.models.text.encoders import CLIP_PAIR, CLIP_VECTOR, FLAN_T5, QWEN2
from ar_guidance.tests.tiny import randomise
from ar_guidance.tests.tiny_encoders import (
    CLIP_SPECIAL,
    T5_SPECIAL,
    WORDS,
    save_model,
    tiny_clip,
    tiny_qwen,
    tiny_t5,
    write_tokenizer,
)
from safetensors.torch import save_file
from torch import Tensor


def write(tensors: dict[str, Tensor], path: Path) -> Path:
    save_file({key: value.clone().contiguous() for key, value in tensors.items()}, path)
    return path


def refusal(*paths: Path) -> str:
    with pytest.raises(CheckpointError) as raised:
        find_encoder(paths)
    return str(raised.value)


# --- what is found ----------------------------------------------------------------------------------------------------


def test_t5_sizes_and_its_one_embedding(tmp_path: Path) -> None:
    (path,) = save_model(tiny_t5(), tmp_path / "t5.safetensors")
    found = find_encoder([path])
    assert found.encoder == FLAN_T5 and found.vocab == 40
    sizes = ("d_model", "d_ff", "d_kv", "num_heads", "num_layers")
    assert [found.config[key] for key in sizes] == [12, 20, 8, 3, 2]
    assert "shared.weight" in found.tensors and "encoder.embed_tokens.weight" not in found.tensors


def test_a_whole_t5_with_its_decoder_behind_a_prefix(tmp_path: Path) -> None:
    own = tiny_t5().state_dict()
    extra = {"decoder." + k.removeprefix("encoder."): v for k, v in own.items() if "block" in k}
    wrapped = {f"model.{key}": value for key, value in (own | extra).items()}
    found = find_encoder([write(wrapped, tmp_path / "t5.safetensors")])
    assert set(found.tensors) == {key for key in own if key != "encoder.embed_tokens.weight"}


def test_any_shard_stands_for_all(tmp_path: Path) -> None:
    shards = save_model(tiny_t5(), tmp_path / "flan" / "model.safetensors", shards=3)
    found = [find_encoder([shard]) for shard in shards]
    assert all(one.tensors.keys() == found[0].tensors.keys() for one in found)
    shards[1].unlink()
    message = refusal(shards[0])
    assert "flan: 1 of its 3 files are missing (model-00002-of-00003.safetensors)" in message


def test_qwen_without_its_eyes(tmp_path: Path) -> None:
    own = tiny_qwen().state_dict()
    wrapped = {f"language_model.model.{key}": value for key, value in own.items()}
    wrapped |= {"visual.blocks.0.attn.qkv.bias": torch.zeros(3), "lm_head.weight": torch.zeros(4)}
    found = find_encoder([write(wrapped, tmp_path / "qwen.safetensors")])
    assert found.encoder == QWEN2
    assert set(found.tensors) == {f"model.{key}" for key in own}
    assert found.config["num_attention_heads"] == 2 and found.config["num_key_value_heads"] == 1


@torch.no_grad()
def test_clip_is_the_same_under_either_naming(tmp_path: Path) -> None:
    model = tiny_clip(128, "gelu")
    (path,) = save_model(model, tmp_path / "clip.safetensors")
    found = find_encoder([path])
    assert found.encoder == CLIP_VECTOR
    tower = ClipText(found.config).eval()
    tower.load_state_dict(found.tensors)
    ids = torch.tensor([[38, 5, 9, 3, 39]])
    torch.testing.assert_close(tower(ids), model(ids).text_embeds, atol=1e-5, rtol=1e-5)
    again = find_encoder([write(found.tensors, tmp_path / "openai.safetensors")])
    assert again.config == found.config and again.tensors.keys() == found.tensors.keys()


def test_half_precision_is_noticed(tmp_path: Path) -> None:
    (path,) = save_model(tiny_t5().to(torch.bfloat16), tmp_path / "half.safetensors")
    assert find_encoder([path]).half == torch.bfloat16
    (path,) = save_model(tiny_t5(), tmp_path / "full.safetensors")
    assert find_encoder([path]).half is None


def test_the_wider_clip_of_a_pair_comes_second(tmp_path: Path) -> None:
    (narrow,) = save_model(tiny_clip(), tmp_path / "l.safetensors")
    (wide,) = save_model(tiny_clip(192, "gelu"), tmp_path / "g.safetensors")
    for order in ((narrow, wide), (wide, narrow)):
        found = find_encoder(order)
        assert found.encoder == CLIP_PAIR
        assert [config.width for config in found.config] == [128, 192]
        assert [config.quick for config in found.config] == [True, False]
    assert "of the same width" in refusal(narrow, narrow)


class Archive(torch.nn.Module):
    """A tower whose release is a program."""

    def __init__(self) -> None:
        super().__init__()
        tower = ClipText(ClipTextConfig(40, 77, 64, 1, 1, 8))
        randomise(tower)
        self.token_embedding, self.ln_final = tower.token_embedding, tower.ln_final
        self.positional_embedding = tower.positional_embedding
        self.text_projection = tower.text_projection
        self.transformer = torch.nn.Module()
        self.transformer.resblocks = tower.transformer.resblocks

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_a_torchscript_archive_is_read_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = Archive().eval()
    torch.jit.trace(module, torch.zeros(1)).save(tmp_path / "ViT-L-14.pt")
    monkeypatch.setattr(torch.jit, "load", lambda *ignored: pytest.fail("it was run"))
    found = find_encoder([tmp_path / "ViT-L-14.pt"])
    assert found.config == ClipTextConfig(40, 77, 64, 1, 1, 8)
    for key, value in module.state_dict().items():
        assert torch.equal(found.tensors[key], value), key


# --- what is refused --------------------------------------------------------------------------------------------------


def test_relatives_are_refused_by_name(tmp_path: Path) -> None:
    own = tiny_t5().state_dict()
    bias = "layer.0.SelfAttention.relative_attention_bias.weight"
    umt5 = own | {f"encoder.block.1.{bias}": own[f"encoder.block.0.{bias}"]}
    assert "umT5 or Pile-T5" in refusal(write(umt5, tmp_path / "umt5.safetensors"))
    (old,) = save_model(tiny_t5(gated=False), tmp_path / "old.safetensors")
    assert "version 1.0" in refusal(old)
    qwen = tiny_qwen().state_dict()
    qwen3 = qwen | {"layers.0.self_attn.q_norm.weight": torch.ones(128)}
    assert "Qwen3" in refusal(write(qwen3, tmp_path / "qwen3.safetensors"))
    (tmp_path / "config.json").write_text('{"num_attention_heads": 4}')
    assert "heads of another width" in refusal(write(qwen, tmp_path / "qwen.safetensors"))


def test_no_encoder_an_incomplete_one_and_a_clip_without_its_projection(tmp_path: Path) -> None:
    other = write({"decoder.conv.weight": torch.zeros(3)}, tmp_path / "vae.safetensors")
    assert "vae.safetensors: no text encoder" in refusal(other)
    own = {k: v for k, v in tiny_t5().state_dict().items() if "wi_0" not in k}
    message = refusal(write(own, tmp_path / "cut.safetensors"))
    assert "wi_0.weight is missing" in message and "incomplete" in message
    clip = {k: v for k, v in tiny_clip().state_dict().items() if "projection" not in k}
    assert "lacks its text_projection" in refusal(write(clip, tmp_path / "clip.safetensors"))


# --- tokenizers -------------------------------------------------------------------------------------------------------


def prompts(folder: Path, encoder: str, special: dict[str, int]) -> PromptTokenizer:
    write_tokenizer(folder, special)
    words = read_tokenizer(folder, folder, "none")
    return PromptTokenizer(words, READINGS[encoder], lambda prompt: [(prompt, 1.0)], "tiny")


def line(tokenizer: PromptTokenizer, prompt: str, **options: Any) -> list[tuple[Any, ...]]:
    (found,) = tokenizer.tokenize_with_weights(prompt, **options).values()
    return found[0]


def test_every_encoder_frames_a_prompt_its_own_way(tmp_path: Path) -> None:
    bird = 3 + WORDS.index("bird")
    t5 = prompts(tmp_path / "t5", FLAN_T5.name, T5_SPECIAL)
    assert line(t5, "bird") == [(bird, 1.0), (1, 1.0)] and line(t5, "") == [(1, 1.0)]
    clip = prompts(tmp_path / "clip", CLIP_VECTOR.name, CLIP_SPECIAL)
    assert line(clip, " BIRD\n") == [(38, 1.0), (bird, 1.0), (39, 1.0)]
    assert line(clip, "bird", return_word_ids=True)[1] == (bird, 1.0, 1)
    qwen = prompts(tmp_path / "qwen", QWEN2.name, {"<|endoftext|>": 39})
    assert line(qwen, "bird") == [(bird, 1.0)] + [(39, 1.0)] * 299


@pytest.mark.parametrize("released", ["Draw.\nWell.", "Draw.\nWell.\n"])
def test_an_instruction_is_taken_as_its_release_has_it(tmp_path, monkeypatch, released) -> None:
    monkeypatch.setattr(text, "HART_INSTRUCTION", sha256(released.encode()).hexdigest())
    file = tmp_path / "prompt_prefix.txt"
    for saved in ("Draw.\nWell.", "Draw.\nWell.\n", "\ufeffDraw.\r\nWell.\r\n"):
        file.write_bytes(saved.encode())
        assert text.as_released(text.read_instruction(file)) == (released, True)
    assert text.as_released("Draw. Well.\n") == ("Draw. Well.\n", False)
    file.write_bytes("Draw.".encode("utf-16"))
    with pytest.raises(CheckpointError, match="prompt_prefix.txt: .* is not in UTF-8"):
        text.read_instruction(file)


def test_a_folder_s_own_tokenizer_comes_before_the_host_s(tmp_path: Path) -> None:
    own, spare = tmp_path / "own", tmp_path / "spare"
    write_tokenizer(spare, T5_SPECIAL, {"bird": 7})
    assert read_tokenizer(own, spare, "none").ids("bird") == [7]
    write_tokenizer(own, T5_SPECIAL, {"bird": 9})
    assert read_tokenizer(own, spare, "none").ids("bird") == [9]


def test_bad_tokenizer_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no text tokenizer"):
        read_tokenizer(tmp_path, tmp_path, "none")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match="not a text tokenizer"):
        read_tokenizer(tmp_path, tmp_path, "none")
    other = prompts(tmp_path / "t5", CLIP_VECTOR.name, T5_SPECIAL)
    with pytest.raises(CheckpointError, match="has no <\\|startoftext\\|>"):
        line(other, "bird")


# --- what has been reported -------------------------------------------------------------------------------------------


def test_a_scaled_encoder_is_named_for_what_it_is(tmp_path: Path) -> None:
    own = tiny_t5().state_dict()
    scaled = {k: v.to(torch.float8_e4m3fn) if k.endswith("q.weight") else v for k, v in own.items()}
    scales = {
        k.replace("q.weight", "q.scale_weight"): torch.ones(())
        for k in own
        if k.endswith("q.weight")
    }
    message = refusal(write(scaled | scales, tmp_path / "t5_fp8_scaled.safetensors"))
    assert "quantised (scaled 8-bit floats (fp8))" in message and "incomplete" not in message


@pytest.mark.parametrize("shape", [(), (0,), (4,), (32, 0), (0, 32), (2, 2, 2)])
@pytest.mark.parametrize("made", [tiny_t5, tiny_qwen, tiny_clip])
def test_sizes_of_any_shape_end_in_words(
    tmp_path: Path, made: Callable[[], torch.nn.Module], shape: tuple[int, ...]
) -> None:
    own = made().state_dict()
    for number, key in enumerate(own):
        path = write({**own, key: torch.zeros(shape)}, tmp_path / f"{number}.safetensors")
        try:
            find_encoder([path])
        except CheckpointError as refused:
            assert path.name in str(refused)
        path.unlink()


@pytest.mark.parametrize("order", [("model", "ema"), ("ema", "model")])
def test_of_two_sets_the_plain_one_is_taken_and_said(
    tmp_path: Path, order: tuple[str, str]
) -> None:
    own = tiny_t5().state_dict()
    both = {"model": own, "ema": {k: v + 1 for k, v in own.items()}}
    flat = {f"{name}.{k}": v for name in order for k, v in both[name].items()}
    found = find_encoder([write(flat, tmp_path / "both.safetensors")])
    assert torch.equal(found.tensors["shared.weight"], own["shared.weight"])
    assert "'model' were taken, not 'ema'" in found.note
    assert find_encoder([write(own, tmp_path / "one.safetensors")]).note == ""


def test_of_vq_diffusion_s_two_towers_the_averaged_one_is_taken(tmp_path: Path) -> None:
    tower = ClipText(ClipTextConfig(40, 77, 64, 1, 1, 8))
    randomise(tower)
    own = {f"condition_emb.{k}": v for k, v in tower.state_dict().items()}
    flat = {f"{name}.{k}": v + (name == "ema") for name in ("model", "ema") for k, v in own.items()}
    found = find_encoder([write(flat, tmp_path / "ithq.safetensors")])
    assert "'ema.condition_emb' were taken, not 'model.condition_emb'" in found.note


@pytest.mark.parametrize("weight", [float("inf"), float("-inf"), float("nan"), 1e9])
def test_a_weight_that_is_no_number_is_the_prompt_s_fault(tmp_path: Path, weight: float) -> None:
    write_tokenizer(tmp_path, T5_SPECIAL)
    words = read_tokenizer(tmp_path, tmp_path, "none")
    tokenizer = PromptTokenizer(words, READINGS[FLAN_T5.name], lambda _: [("bird", weight)], "tiny")
    with pytest.raises(ValueError, match="the prompt gives 'bird' the weight .*backslash"):
        tokenizer.tokenize_with_weights("(bird:Infinity)")
