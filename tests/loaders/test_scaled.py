"""Weights in 8-bit floats: every notation is read, and what cannot be meant is refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from ar_guidance.loaders.detect import Part, find_part
from ar_guidance.loaders.read import CheckpointError, read_weights
from ar_guidance.tests.tiny import tiny_var
from safetensors.torch import save_file
from torch import Tensor

LAYERS = ("blocks.0.attn.proj", "blocks.1.ffn.fc1", "head")
E4M3, E5M2 = torch.float8_e4m3fn, torch.float8_e5m2


def stored(dtype: torch.dtype, scale: str = "") -> dict[str, Tensor]:
    """A file's tensors, some matrices in 8 bits, with scales of that name."""
    state = {key: value.clone() for key, value in tiny_var().network.state_dict().items()}
    for place, layer in enumerate(LAYERS, start=1):
        factor = 0.25 * place if scale else 1.0
        state[f"{layer}.weight"] = (state[f"{layer}.weight"] / factor).to(dtype)
        if scale:
            state[f"{layer}.{scale}"] = torch.tensor(factor)
    return state


def found(folder: Path, state: dict[str, Tensor], header: Any = None) -> Part:
    texts = None if header is None else {"_quantization_metadata": json.dumps(header)}
    save_file(state, folder / "a.safetensors", texts)
    return find_part(read_weights(folder / "a.safetensors"), "transformer")


def refusal(folder: Path, state: dict[str, Tensor], header: Any = None) -> str:
    with pytest.raises(CheckpointError) as error:
        found(folder, state, header)
    return str(error.value)


def layers(form: object = "float8_e4m3fn", start: str = "") -> dict[str, Any]:
    return {"format_version": "1.0", "layers": {start + name: {"format": form} for name in LAYERS}}


def scales_of(part: Part) -> dict[str, float]:
    return {key: float(value) for key, value in part.scales.items()}


SCALES = {f"{name}.weight": 0.25 * place for place, name in enumerate(LAYERS, start=1)}


@pytest.mark.parametrize("dtype", [E4M3, E5M2])
def test_plain_8_bit_floats_have_no_scales(tmp_path, dtype) -> None:
    part = found(tmp_path, stored(dtype))
    assert not part.scales and part.tensors["head.weight"].dtype == dtype


def test_every_notation_gives_the_same_scales(tmp_path) -> None:
    marked = stored(E4M3, "scale_weight") | {"scaled_fp8": torch.zeros(2, dtype=E4M3)}
    activations = {f"{name}.scale_input": torch.ones(()) for name in LAYERS}
    assert scales_of(found(tmp_path, marked | activations)) == SCALES
    named = stored(E4M3, "weight_scale")
    for start in ("", "model.diffusion_model."):
        assert scales_of(found(tmp_path, named, layers(start=start))) == SCALES
    note = torch.tensor(list(json.dumps({"format": "float8_e4m3fn"}).encode()), dtype=torch.uint8)
    noted = named | {f"{name}.comfy_quant": note.clone() for name in LAYERS}
    assert scales_of(found(tmp_path, noted)) == SCALES
    wrapped = {f"module.{key}": value for key, value in marked.items()}
    assert scales_of(found(tmp_path, wrapped)) == SCALES


def without(state: dict[str, Tensor], key: str) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if name != key}


def test_a_missing_scale_is_named(tmp_path) -> None:
    marked = stored(E4M3, "scale_weight") | {"scaled_fp8": torch.zeros(0, dtype=E4M3)}
    said = refusal(tmp_path, without(marked, "head.scale_weight"))
    assert "the scale of head.weight is missing" in said and "fp8" in said
    named = without(stored(E4M3, "weight_scale"), "blocks.1.ffn.fc1.weight_scale")
    said = refusal(tmp_path, named, layers())
    assert "the scale of blocks.1.ffn.fc1.weight is missing" in said
    unmarked = without(stored(E4M3, "scale_weight"), "head.scale_weight")
    assert "the scale of head.weight is missing" in refusal(tmp_path, unmarked)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.ones(24), "should be one number, and is (24,)"),
        (torch.ones(24, 1), "should be one number, and is (24, 1)"),
        (torch.zeros(0), "should be one number, and is (0,)"),
        (torch.tensor(1), "int64"),
        (torch.tensor(torch.nan), "is nan, not a positive number"),
        (torch.tensor(0.0), "is 0.0, not a positive number"),
    ],
)
def test_a_scale_that_is_none_is_named(tmp_path, value, words) -> None:
    said = refusal(tmp_path, stored(E4M3, "scale_weight") | {"head.scale_weight": value})
    assert "head.scale_weight" in said and words in said


def test_other_forms_and_broken_notes_are_refused(tmp_path) -> None:
    named = stored(E4M3, "weight_scale")
    assert "quantised as nvfp4" in refusal(tmp_path, named, layers("nvfp4"))
    assert "quantised as None" in refusal(tmp_path, named, {"layers": {"head": 3}})
    assert "lists no layers" in refusal(tmp_path, named, ["head"])
    broken = named | {"head.comfy_quant": torch.tensor([123, 255], dtype=torch.uint8)}
    assert "cannot be read" in refusal(tmp_path, broken)
    lonely = stored(E4M3) | {"head2.scale_weight": torch.ones(())}
    assert "no such weights" in refusal(tmp_path, lonely)


def test_numbers_in_8_bits_must_be_numbers_too(tmp_path) -> None:
    state = stored(E4M3)
    state["head.weight"][0, 0] = torch.tensor(torch.nan).to(E4M3)
    assert "head.weight holds values that are not numbers" in refusal(tmp_path, state)
