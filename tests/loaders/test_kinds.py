"""What a file is, by its bytes: read under every ending, or named as what it is with what to do."""

import json
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from ar_guidance.loaders.detect import find_part
from ar_guidance.loaders.read import SUFFIXES, CheckpointError, files_of, read_json, read_weights
from ar_guidance.tests.tiny import tiny_var
from ar_guidance.tests.tiny_tokens import tiny_llamagen
from safetensors.torch import save, save_file


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return {key: value.contiguous() for key, value in tiny_var().network.state_dict().items()}


def refusal(path: Path, part: str = "transformer") -> str:
    with pytest.raises(CheckpointError) as caught:
        find_part(read_weights(path), part)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 1000
    return str(caught.value)


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
@pytest.mark.parametrize("form", ["safetensors", "zip", "legacy"])
def test_every_format_is_read_under_every_ending(tmp_path, state, suffix, form) -> None:
    path = tmp_path / f"model{suffix}"
    if form == "safetensors":
        path.write_bytes(save(state))
    else:
        torch.save(state, path, _use_new_zipfile_serialization=form == "zip")
    part = find_part(read_weights(path), "transformer")
    assert all(torch.equal(part.tensors[key], state[key]) for key in part.tensors)


NAMED = {
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "git lfs pull"),
    "page": (b"\n <!DOCTYPE html><html><body>404</body></html>", "a web page"),
    "gguf": (b"GGUF\x03\x00\x00\x00" + bytes(100), "GGUF"),
    "json": (b'{"error": "not found"}', "a JSON text"),
    "gzip": (b"\x1f\x8b\x08" + bytes(100), "Unpack it"),
    "numpy": (b"\x93NUMPY\x01\x00" + bytes(100), "NumPy"),
    "zeros": (bytes(4096), "unfinished download"),
    "empty": (b"", "it is empty"),
    "tar": (bytes([1] * 257) + b"ustar" + bytes(300), "packed archive"),
    "long header": (struct.pack("<Q", 1 << 40) + b"{" + bytes(90), "its header alone"),
    "words": (b"hello", "does not begin like one"),
}


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".jit", ".pkl"])
@pytest.mark.parametrize("name", NAMED)
def test_everything_else_is_named(tmp_path, name, suffix) -> None:
    content, words = NAMED[name]
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    assert words in refusal(path)


def test_an_archive_packed_again_is_refused(tmp_path, state) -> None:
    path, packed = tmp_path / "model.pth", tmp_path / "packed.pth"
    torch.save(state, path)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            new.writestr(part.filename, old.read(part))
    assert "packed again" in refusal(packed)


def test_an_archive_without_weights_is_named(tmp_path) -> None:
    path = tmp_path / "model.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "zip archive without weights" in refusal(path)


# --- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda key: f"module.{key}",
        lambda key: f"_orig_mod.{key}",
        lambda key: key.replace("blocks.0.", "blocks.0._orig_mod."),
        lambda key: key.replace(
            "blocks.1.", "blocks.1._fsdp_wrapped_module._checkpoint_wrapped_module."
        ),
        lambda key: f"state_dict._orig_mod.module.{key}",
    ],
)
def test_names_of_wrappers_are_dropped_wherever_they_stand(tmp_path, state, wrapped) -> None:
    save_file({wrapped(k): v for k, v in state.items()}, tmp_path / "a.safetensors")
    part = find_part(read_weights(tmp_path / "a.safetensors"), "transformer")
    assert set(part.tensors) == set(state)


def sets(first: str, second: str) -> dict[str, dict[str, torch.Tensor]]:
    network = tiny_llamagen().network.state_dict()
    plain = {key: value.clone() for key, value in network.items()}
    averaged = {
        key: value + 1 if value.is_floating_point() else value for key, value in plain.items()
    }
    both = {"model": plain, "ema": averaged}
    return {first: both[first], second: both[second]}


@pytest.mark.parametrize("form", ["safetensors", "zip", "legacy"])
@pytest.mark.parametrize("order", [("model", "ema"), ("ema", "model")])
def test_of_two_sets_one_rule_takes_the_plain_one_and_says_so(tmp_path, form, order) -> None:
    content = sets(*order)
    path = tmp_path / "training.pt"
    if form == "safetensors":
        flat = {
            f"{name}.{k}": v.contiguous() for name, own in content.items() for k, v in own.items()
        }
        path.write_bytes(save(flat))
    else:
        torch.save(content | {"epoch": 3}, path, _use_new_zipfile_serialization=form == "zip")
    part = find_part(read_weights(path), "transformer")
    assert torch.equal(part.tensors["norm.weight"], content["model"]["norm.weight"])
    assert "'model' were taken, not 'ema'" in part.note


def test_one_set_needs_no_note(tmp_path, state) -> None:
    save_file(state, tmp_path / "a.safetensors")
    assert find_part(read_weights(tmp_path / "a.safetensors"), "transformer").note == ""


def test_bookkeeping_beside_the_weights_is_ignored_at_any_level(tmp_path, state) -> None:
    extra = {
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}},
        "ema.shadow": torch.zeros(2),
        "blocks.0.num_batches_tracked": torch.tensor(3),
        "global_step": torch.tensor(9),
        "loss.weight": torch.zeros(1),
        "epoch": 4,
        "rng_state": torch.zeros(8, dtype=torch.uint8),
    }
    torch.save({**state, **extra}, tmp_path / "a.pth")
    assert set(find_part(read_weights(tmp_path / "a.pth"), "transformer").tensors) == set(state)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"blocks.0.ffn.fc1.scale_weight": torch.ones(1)}, "fp8"),
        ({"blocks.0.ffn.fc1.weight.absmax": torch.ones(1)}, "bitsandbytes"),
        ({"blocks.0.ffn.fc1.qweight": torch.ones(1, dtype=torch.int32)}, "GPTQ"),
    ],
)
def test_quantised_forms_are_named(tmp_path, state, extra, words) -> None:
    kept = {k: v for k, v in state.items() if k != "blocks.0.ffn.fc1.weight"}
    save_file({**kept, **extra}, tmp_path / "a.safetensors")
    assert words in refusal(tmp_path / "a.safetensors")


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.bool])
def test_only_floating_point_weights_are_weights(tmp_path, state, dtype) -> None:
    save_file({**state, "head.weight": state["head.weight"].to(dtype)}, tmp_path / "a.safetensors")
    assert f"head.weight is stored as {str(dtype)[6:]}" in refusal(tmp_path / "a.safetensors")


def test_weights_of_few_stored_numbers_are_not_taken(tmp_path, state) -> None:
    torch.save(
        {**state, "head.weight": torch.zeros(1).expand(state["head.weight"].shape)},
        tmp_path / "a.pth",
    )
    assert "head.weight claims more numbers than are stored" in refusal(tmp_path / "a.pth")


def test_a_key_of_a_megabyte_or_with_a_line_break_makes_a_short_message(tmp_path, state) -> None:
    key = "blocks.0.\n\x1b[31m" + "x" * 1_000_000
    save_file({**state, key: torch.zeros(1)}, tmp_path / "a.safetensors")
    assert "has unknown blocks.0.\\n\\x1b" in refusal(tmp_path / "a.safetensors")


# --- texts beside the weights -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "nul\0l",
        "[1, 2]",
        '"x"',
        "{",
        "",
        "\ufeff{}",
        '{"a": ' + "9" * 5000 + "}",
    ],
)
def test_json_that_says_nothing_says_nothing(tmp_path, text) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    assert read_json(tmp_path / "config.json") == {}


@pytest.mark.parametrize("claimed", ["99999", "01001"])
def test_a_name_that_claims_a_thousand_files_is_refused(tmp_path, claimed) -> None:
    path = tmp_path / f"model-00001-of-{claimed}.safetensors"
    path.write_bytes(b"x")
    assert "no checkpoint has more than 1,000" in refusal(path)


def test_an_index_that_claims_a_thousand_files_is_refused(tmp_path) -> None:
    places = {str(n): f"{n}.safetensors" for n in range(2000)}
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": places}))
    assert "lists 2,000 files" in refusal(path)
    assert len(files_of(path)) < 20  # nor is each of them looked for when the host asks for changes


METADATA = [
    {"defaults": "[]"},
    {"defaults": "{"},
    {"defaults": '{"scale": "high"}'},
    {"defaults": '{"unheard": 1}'},
    {"defaults": '{"scale": [1, 2]}'},
]


@pytest.mark.parametrize("metadata", METADATA, ids=lambda m: next(iter(m.values())))
def test_defaults_that_are_none_are_refused_in_words(tmp_path, state, metadata) -> None:
    save_file(state, tmp_path / "a.safetensors", metadata)
    part = find_part(read_weights(tmp_path / "a.safetensors"), "transformer")
    with pytest.raises(CheckpointError, match="not sampling settings"):
        _ = part.defaults


@pytest.mark.parametrize("levels", [[10**12], [-1], [0, 1, 5], []])
def test_a_level_index_that_lies_is_refused_before_anything_is_made_of_it(
    tmp_path, state, levels
) -> None:
    save_file(
        {**state, "lvl_1L": torch.tensor([levels], dtype=torch.int64)}, tmp_path / "a.safetensors"
    )
    assert "its sizes cannot be read: lvl_1L" in refusal(tmp_path / "a.safetensors")


@pytest.mark.parametrize("name", ["side", "heads"])
@pytest.mark.parametrize("value", ["0", "-3", "1000000000000", "nan", "2.5", "many", ""])
def test_sizes_that_a_header_claims_are_checked(tmp_path, name, value) -> None:
    network = {k: v.contiguous() for k, v in tiny_llamagen().network.state_dict().items()}
    save_file(network, tmp_path / "a.safetensors", {name: value})
    assert f"its sizes cannot be read: {name} is" in refusal(tmp_path / "a.safetensors")
