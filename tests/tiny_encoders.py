"""Tiny text encoders as `transformers` makes them, saved as they are released, with tokenizers of a few words."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import torch
from ar_guidance.tools.dev import launch_host
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

WORDS = ["a", "red", "blue", "bird", "on", "the", "grass", "of", "glass", "draw", "this", "-"]
VOCAB = 40
T5_SPECIAL = {"<pad>": 0, "</s>": 1}
QWEN_SPECIAL = {"<|endoftext|>": 39}
CLIP_SPECIAL = {"<|startoftext|>": 38, "<|endoftext|>": 39}


def write_tokenizer(
    folder: Path, special: dict[str, int], words: dict[str, int] | None = None
) -> None:
    """A `tokenizer.json` of whole words, unknown ones all the same."""
    known = words or {word: 3 + i for i, word in enumerate(WORDS)}
    model = models.WordLevel({"<unk>": 2, **known, **special}, unk_token="<unk>")
    made = Tokenizer(model)
    made.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))


def ids_of(text: str) -> list[int]:
    """What that tokenizer makes of words separated by blanks."""
    return [3 + WORDS.index(word) if word in WORDS else 2 for word in text.split()]


def save_model(model: Any, path: Path, shards: int = 1, **metadata: str) -> list[Path]:
    """A model's weights in one file or several with the usual names, each tensor once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {key: value.clone().contiguous() for key, value in model.state_dict().items()}
    names = sorted(tensors)
    if shards == 1:
        save_file(tensors, path, metadata)
        return [path]
    files = [
        path.with_name(f"{path.stem}-{i + 1:05d}-of-{shards:05d}.safetensors")
        for i in range(shards)
    ]
    for i, file in enumerate(files):
        save_file({name: tensors[name] for name in names[i::shards]}, file)
    return files


def randomised(model: Any, std: float = 0.3) -> Any:
    """Weights large enough that every part matters."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, std, generator=generator)
    return model.eval()


@functools.cache
def transformers() -> Any:
    """The library, importable also beside a CPU build of torch."""
    if launch_host.torchvision_needs_help():
        launch_host.declare_torchvision_operators()
    import transformers

    return transformers


def tiny_t5(width: int = 12, gated: bool = True) -> Any:
    """flan-T5's kind of encoder."""
    kind = "gated-gelu" if gated else "relu"
    sizes = {"d_model": width, "d_kv": 8, "num_heads": 3, "d_ff": 20, "num_layers": 2}
    return randomised(
        transformers().T5EncoderModel(
            transformers().T5Config(vocab_size=VOCAB, feed_forward_proj=kind, **sizes)
        )
    )


def tiny_qwen(folder: Path | None = None) -> Any:
    """Qwen2; the host's class knows heads of 128 only."""
    sizes = {
        "hidden_size": 24,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 128,
    }
    config = transformers().Qwen2Config(
        vocab_size=VOCAB, rms_norm_eps=1e-6, rope_theta=1e6, **sizes
    )
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"rope_theta": 1e6, "rms_norm_eps": 1e-6}))
    return randomised(transformers().Qwen2Model(config), 0.1)


def tiny_clip(width: int = 128, activation: str = "quick_gelu") -> Any:
    """A CLIP text tower with 64 channels per head."""
    config = transformers().CLIPTextConfig(
        vocab_size=VOCAB,
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=2,
        num_attention_heads=width // 64,
        hidden_act=activation,
        eos_token_id=CLIP_SPECIAL["<|endoftext|>"],
    )
    return randomised(transformers().CLIPTextModelWithProjection(config), 0.1)
