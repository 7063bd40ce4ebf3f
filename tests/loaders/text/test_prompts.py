"""Prompts of families that read text themselves: the tokenizer files beside a checkpoint, and what is refused."""

import json
from pathlib import Path

import pytest
import torch
from ar_guidance.loaders.read import Weights
from ar_guidance.loaders.text import tokenizers
from ar_guidance.loaders.text.prompts import encode, encode_negative, read_own_tokenizer
from ar_guidance.models.family import PromptSpec
from ar_guidance.models.parts.prompt import Prompt, stack_prompts
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.pre_tokenizers import ByteLevel

WORDS = {letter: i for i, letter in enumerate(sorted(ByteLevel.alphabet()))}
WORDS |= {word: 256 + i for i, word in enumerate(["Ġa", "he", "Ġt", "Ġthe"])}
MERGES = ["Ġ a", "h e", "Ġ t", "Ġt he"]
ADDED = {"<|end|>": 260, "<|go|>": 261}

SPEC = PromptSpec(
    text=lambda config, prompt: f"Draw {prompt}<|go|>",
    words=lambda config: config,
    room=lambda config: 40,
    head=lambda config: (7, 8),
    special=lambda config: {"<|go|>": 261},
    negative="ugly",
    negative_text=lambda config, prompt: f"{prompt}<|go|>",
    leads=True,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Qwen2's files: vocabulary, merges, settings that list the added tokens."""
    (tmp_path / "vocab.json").write_text(json.dumps(WORDS), encoding="utf-8")
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(MERGES), encoding="utf-8")
    added = {str(id): {"content": name, "special": True} for name, id in ADDED.items()}
    settings = {"bos_token": None, "eos_token": "<|end|>", "added_tokens_decoder": added}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return tmp_path


def test_both_kinds_of_files_give_the_same_ids(folder, tmp_path_factory) -> None:
    parts, whole = read_own_tokenizer(folder), tmp_path_factory.mktemp("whole")
    parts.tokenizer.save(str(whole / "tokenizer.json"))
    (whole / "tokenizer_config.json").write_text((folder / "tokenizer_config.json").read_text())
    other = read_own_tokenizer(whole)
    assert other.lead == parts.lead == 260
    for text in ("the a<|go|>", " 12 isn't,\n\n \tthe äöü 漢字 🙂", ""):
        assert parts.ids(text) == other.ids(text)
    assert parts.ids("the the a") == [WORDS["t"], WORDS["he"], WORDS["Ġthe"], WORDS["Ġa"]]
    assert parts.ids("<|go|>") == [261]
    named = {**WORDS, **ADDED}
    for place in (whole, folder):
        assert Weights(place / "model.safetensors", {}).vocabulary == named


def test_a_saved_call_neither_pads_nor_cuts(folder, tmp_path_factory) -> None:
    """tokenizer.json keeps what the last call before saving asked for, and the library obeys it."""
    text, whole = "the the a", tmp_path_factory.mktemp("whole")
    wanted, tokenizer = read_own_tokenizer(folder).ids(text), read_own_tokenizer(folder).tokenizer
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(whole / "tokenizer.json"))
    (whole / "tokenizer_config.json").write_text((folder / "tokenizer_config.json").read_text())
    assert len(wanted) > 2 and read_own_tokenizer(whole).ids(text) == wanted
    assert tokenizers.read_tokenizer(whole, folder, "").ids(text) == wanted


def test_added_tokens_in_a_file_of_their_own(folder) -> None:
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": {"content": "a"}}))
    (folder / "added_tokens.json").write_text(json.dumps(ADDED))
    tokenizer = read_own_tokenizer(folder)
    assert tokenizer.ids("<|go|>") == [261] and tokenizer.lead == WORDS["a"]


def test_lead_text_head_and_padding(folder) -> None:
    tokenizer = read_own_tokenizer(folder)
    prompt = encode(SPEC, 262, tokenizer, ["the", "the the a"])
    text = tokenizer.ids("Draw the the a<|go|>")
    assert prompt.ids[1].tolist() == [260, *text, 7, 8]
    assert prompt.ids[0, 2:].tolist() == [260, *tokenizer.ids("Draw the<|go|>"), 7, 8]
    assert prompt.padding.sum(1).tolist() == [2, 0] and prompt.padding[0, :2].all()
    assert prompt.repeated(2).ids[1].tolist() == prompt.ids[0].tolist()


def test_the_negative_prompt(folder) -> None:
    tokenizer = read_own_tokenizer(folder)
    published = encode_negative(SPEC, 262, tokenizer, "", 2)
    assert published.ids.tolist() == [[260, *tokenizer.ids("ugly<|go|>"), 7, 8]] * 2
    own = encode_negative(SPEC, 262, tokenizer, "a", 1)
    assert own.ids.tolist() == [[260, *tokenizer.ids("a<|go|>"), 7, 8]]
    silent = PromptSpec(SPEC.text, SPEC.words, SPEC.room, SPEC.head)
    assert encode_negative(silent, 262, tokenizer, "", 2).ids.tolist() == [[7, 8]] * 2
    assert encode_negative(silent, 262, tokenizer, "a", 1).ids.shape[1] > 2


@given(st.lists(st.lists(st.lists(st.integers(1, 9), min_size=1), min_size=2, max_size=2)))
def test_stacking_keeps_every_row_and_its_end(branches) -> None:
    if not branches:
        return
    stacked = stack_prompts([Prompt.of(rows) for rows in branches], torch.device("cpu"))
    rows = [row for branch in branches for row in branch]
    for row, ids, padding in zip(rows, stacked.ids, stacked.padding, strict=True):
        assert ids[~padding].tolist() == row
        assert padding.sum() == stacked.positions - len(row)
        assert not padding[-len(row) :].any()


# --- what is refused --------------------------------------------------------------------------------------------------


def refusal(folder: Path, words: int = 262, prompt: str = "the") -> str:
    with pytest.raises(ValueError) as caught:
        tokenizer = read_own_tokenizer(folder)
        tokenizer.check(SPEC, words)
        encode(SPEC, words, tokenizer, [prompt])
    return str(caught.value).splitlines()[0]


@pytest.mark.parametrize("gone", ["vocab.json", "merges.txt"])
def test_missing_files(folder, gone) -> None:
    (folder / gone).unlink()
    message = refusal(folder)
    assert "neither tokenizer.json nor vocab.json with merges.txt" in message
    assert message.startswith(folder.name) and str(folder) in message


@pytest.mark.parametrize("content", ["", "<html>", "[]", '{"model": 3}', '{"vocab": {}}'])
def test_a_file_that_is_no_tokenizer(folder, content) -> None:
    (folder / "tokenizer.json").write_text(content)
    assert "tokenizer.json is not a text tokenizer" in refusal(folder)


def test_merges_of_another_vocabulary(folder) -> None:
    (folder / "merges.txt").write_text("Ġ q\nq u x")
    assert "vocab.json and merges.txt is not a text tokenizer" in refusal(folder)


def test_settings_that_name_no_first_token(folder) -> None:
    (folder / "tokenizer_config.json").unlink()
    (folder / "added_tokens.json").write_text(json.dumps(ADDED))
    assert "tokenizer_config.json is missing there" in refusal(folder)


def test_a_vocabulary_of_another_size(folder) -> None:
    assert "has 262 tokens, but the model knows only 200" in refusal(folder, words=200)


def test_a_tokenizer_of_another_model(folder) -> None:
    text = (folder / "tokenizer_config.json").read_text()
    (folder / "tokenizer_config.json").write_text(text.replace("<|go|>", "<|went|>"))
    assert "<|go|> is missing, but the model has it as number 261" in refusal(folder)


def test_a_prompt_that_does_not_fit(folder) -> None:
    message = refusal(folder, prompt="0123456789" * 10)
    assert "has room for 40 beside the image" in message and "0123456789" in message
