"""The token ids of CLIP's prompts in a golden case."""

from pathlib import Path
from typing import Any

from ar_guidance.loaders.text.tokenizers import KEY, READINGS, PromptTokenizer, read_tokenizer
from ar_guidance.models.text.encoders import CLIP_ROWS

ROOT = Path(__file__).resolve().parents[2]


def compare_prompt_ids(case: Any) -> None:
    """Ids of real prompts; the vocabulary comes with a host. What is too long is refused, where the reference cuts."""
    folders = sorted(ROOT.glob(".hosts/*/comfy/sd1_tokenizer"))
    if not case.has("text.prompt_ids"):
        return
    ids = case.input("text.prompt_ids")
    if not folders:
        return
    reading = READINGS[CLIP_ROWS.name]
    words = read_tokenizer(folders[-1], folders[-1], reading.kind)
    tokenizer = PromptTokenizer(words, reading, lambda text: [(text, 1.0)], CLIP_ROWS.title)
    for row, prompt in zip(ids, case.facts["inputs"]["tokenizer_prompts"], strict=True):
        try:
            (line,) = tokenizer.tokenize_with_weights(prompt)[KEY]
        except ValueError:
            assert row[-1] == words.special("<|endoftext|>"), f"'{prompt}' was refused and fits"
            continue
        assert [entry[0] for entry in line] == row.tolist(), prompt
