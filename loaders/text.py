"""Text encoders and tokenizers of the text-conditional families, on what the host brings along."""

import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

CLIP_LENGTH = 77


def clip_tokenizer(folder: str | Path) -> Any:
    """CLIP's byte-pair tokenizer from a folder with its vocabulary (a host's `comfy/sd1_tokenizer`)."""
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(folder)


def clip_ids(prompts: Sequence[str], tokenizer: Any) -> Tensor:
    """Ids (B, 77) as VAR-CLIP was trained on: start, text, end, zeros; a longer prompt is cut and closed with the end."""
    start, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    ids = torch.zeros(len(prompts), CLIP_LENGTH, dtype=torch.long)
    for row, prompt in zip(ids, prompts, strict=True):
        words = tokenizer(clean_prompt(prompt), add_special_tokens=False)["input_ids"]
        line = [start, *words[: CLIP_LENGTH - 2], end]
        row[: len(line)] = torch.tensor(line)
    return ids


def clean_prompt(prompt: str) -> str:
    """Entities resolved (twice: captions of the web escape them so), white space collapsed, lower case."""
    text = html.unescape(html.unescape(prompt)).strip()
    return re.sub(r"\s+", " ", text).strip().lower()
