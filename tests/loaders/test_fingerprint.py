"""An image tokenizer is known by its weights: copies count as the same, other trainings and other uses do not."""

from dataclasses import replace
from pathlib import Path

import torch
from ar_guidance.loaders.detect import Part, find_part
from ar_guidance.loaders.fingerprint import fingerprint
from ar_guidance.loaders.read import read_weights
from ar_guidance.tests.tiny import randomise, tiny_var
from safetensors.torch import save_file


def part(folder: Path, name: str, seed: int, dtype: torch.dtype = torch.float32) -> Part:
    codec = tiny_var().codec
    randomise(codec, seed)
    state = {key: value.to(dtype).contiguous() for key, value in codec.state_dict().items()}
    save_file(state, folder / name, {"norm_groups": "2"})
    return find_part(read_weights(folder / name), "tokenizer")


def test_a_copy_is_the_same_tokenizer(tmp_path) -> None:
    first = fingerprint(part(tmp_path, "one.safetensors", seed=1))
    assert len(first) == 16
    assert fingerprint(part(tmp_path, "other name.safetensors", seed=1)) == first
    assert fingerprint(part(tmp_path, "half.safetensors", seed=1, dtype=torch.half)) == first


def test_another_training_or_another_use_is_another_tokenizer(tmp_path) -> None:
    one, two = part(tmp_path, "one.safetensors", 1), part(tmp_path, "two.safetensors", 2)
    assert fingerprint(one) != fingerprint(two)
    hybrid = replace(one, config=replace(one.config, hybrid=True))
    assert fingerprint(one) != fingerprint(hybrid)


def test_one_changed_code_is_noticed(tmp_path) -> None:
    one = part(tmp_path, "one.safetensors", 1)
    key = "quantize.embedding.weight"
    changed = dict(one.tensors)
    changed[key] = changed[key].clone()
    changed[key][-1, -1] += 0.5
    assert fingerprint(replace(one, tensors=changed)) != fingerprint(one)
