"""What a file may be, and what is said of one that is not what was asked for."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from ar_guidance.loaders.detect import find_part, has_part
from ar_guidance.loaders.read import CheckpointError, read_weights
from ar_guidance.models.parts.levels import KNOWN_SIDES
from ar_guidance.models.var import FileFacts, config_from_file
from ar_guidance.tests.tiny import SIDES, tiny_var
from safetensors.torch import save_file


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return tiny_var().network.state_dict()


@pytest.fixture
def codec() -> dict[str, torch.Tensor]:
    return tiny_var().codec.state_dict()


def saved(path: Path, content) -> Path:
    if path.suffix == ".safetensors":
        save_file({k: v.contiguous() for k, v in content.items()}, path, {"norm_groups": "2"})
    else:
        torch.save(content, path)
    return path


WRAPPINGS = {
    "flat": lambda transformer, codec: transformer,
    "state_dict": lambda transformer, codec: {"state_dict": transformer, "epoch": 3},
    "module": lambda transformer, codec: {f"module.{k}": v for k, v in transformer.items()},
    "training": lambda transformer, codec: {
        "epoch": 1,
        "args": {"pn": "1_2_3"},
        "trainer": {"var_wo_ddp": transformer, "vae_local": codec, "var_opt": {"state": {0: {}}}},
    },
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_wrappings_are_taken_off(tmp_path, state, codec, wrapping) -> None:
    path = saved(tmp_path / "a.pth", WRAPPINGS[wrapping](state, codec))
    part = find_part(read_weights(path), "transformer")
    assert part.family.name == "var" and part.config.sides == SIDES
    assert set(part.tensors) == set(state)


def test_a_training_checkpoint_holds_both(tmp_path, state, codec) -> None:
    weights = read_weights(saved(tmp_path / "a.pth", WRAPPINGS["training"](state, codec)))
    assert has_part(weights, "transformer") and has_part(weights, "tokenizer")


def test_safetensors_with_both_under_prefixes(tmp_path, state, codec) -> None:
    both = {f"var.{k}": v for k, v in state.items()} | {f"vae.{k}": v for k, v in codec.items()}
    weights = read_weights(saved(tmp_path / "both.safetensors", both))
    assert find_part(weights, "transformer").config.depth == 2
    assert find_part(weights, "tokenizer").config.norm_groups == 2


@pytest.mark.parametrize("name", ["both.safetensors", "both.pth"])
@pytest.mark.parametrize("order", [("ema", "model"), ("model", "ema")])
def test_the_network_itself_is_taken_and_not_its_average(tmp_path, state, name, order) -> None:
    sets = {
        "model": state,
        "ema": {k: v + 1 if v.is_floating_point() else v.clone() for k, v in state.items()},
    }
    both = {f"{which}.{k}": v for which in order for k, v in sets[which].items()}
    part = find_part(read_weights(saved(tmp_path / name, both)), "transformer")
    assert torch.equal(part.tensors["pos_start"], state["pos_start"])


def test_conversions_may_drop_what_can_be_computed(tmp_path, state) -> None:
    kept = {k: v for k, v in state.items() if "zero_k_bias" not in k}
    kept["attn_bias_for_masking"] = torch.zeros(1, 1, 30, 30)
    part = find_part(read_weights(saved(tmp_path / "a.safetensors", kept)), "transformer")
    assert "attn_bias_for_masking" not in part.tensors


@pytest.mark.parametrize(("size", "sides"), KNOWN_SIDES.items())
def test_released_scale_lists_without_the_buffer(state, size, sides) -> None:
    shapes = {k: tuple(v.shape) for k, v in state.items()}
    shapes |= {"pos_1LC": (1, size[0], 32), "lvl_embed.weight": (size[1], 32)}
    assert config_from_file(FileFacts(shapes)).sides == sides


def test_every_size_of_the_release_is_read_from_shapes() -> None:
    with torch.device("meta"):
        from ar_guidance.models.var import VAR, VARConfig

        for depth, shared, sides in [
            (16, False, KNOWN_SIDES[680, 10]),
            (36, True, KNOWN_SIDES[2240, 10]),
        ]:
            wanted = VARConfig(
                depth, 64 * depth, depth, 4096, 32, 1000, sides, 256 * depth, shared, True
            )
            network = VAR(wanted)
            shapes = {k: tuple(v.shape) for k, v in network.state_dict().items()}
            assert config_from_file(FileFacts(shapes)) == wanted
            parameters = sum(p.numel() for p in network.parameters())
            assert parameters == {16: 310_283_520, 36: 2_353_893_904}[depth]


# --- what is refused, and how -----------------------------------------------------------------------------------------


def refusal(path: Path, part: str = "transformer") -> str:
    with pytest.raises(CheckpointError) as caught:
        find_part(read_weights(path), part)
    first = str(caught.value).splitlines()[0]
    assert first.startswith(path.name), "the first line names the file"
    return first


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_half_a_file(tmp_path, state, suffix) -> None:
    path = saved(tmp_path / f"half{suffix}", state)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "not a complete weight file" in refusal(path) and "Download it again" in refusal(path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello", b"<html>not found</html>", b"\x80\x04"])
def test_not_a_weight_file(tmp_path, suffix, content) -> None:
    path = tmp_path / f"page{suffix}"
    path.write_bytes(content)
    assert "not a complete weight file" in refusal(path)


def test_code_in_a_file_is_never_run(tmp_path) -> None:
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    path = tmp_path / "evil.pth"
    torch.save({"a": Evil()}, path)
    assert "could run code" in refusal(path)
    plain = tmp_path / "plain.ckpt"
    plain.write_bytes(pickle.dumps(Evil()))
    refusal(plain)
    assert not marker.exists()


@pytest.mark.parametrize(
    "words", ["Unsupported global: GLOBAL x", "UNSUPPORTED CLASS x", "x was not an Allowed global"]
)
def test_a_call_is_told_from_damage_in_the_words_of_any_torch(tmp_path, monkeypatch, words) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise pickle.UnpicklingError(f"Weights only load failed. WeightsUnpickler error: {words}")

    path = tmp_path / "model.pth"
    torch.save({"a": torch.zeros(1)}, path)
    monkeypatch.setattr(torch, "load", refuse)
    assert "could run code" in refusal(path)


def test_missing_file(tmp_path) -> None:
    assert "no such file" in refusal(tmp_path / "gone.pth")


def test_unknown_file(tmp_path) -> None:
    message = refusal(saved(tmp_path / "sd.pth", {"unet.weight": torch.zeros(3)}))
    assert "no known transformer" in message and "unet.weight" in message


def test_tokenizer_where_a_transformer_is_asked(tmp_path, state, codec) -> None:
    assert "is a VAR image tokenizer, not a transformer" in refusal(
        saved(tmp_path / "v.pth", codec)
    )
    assert "is a VAR transformer, not a tokenizer" in refusal(
        saved(tmp_path / "t.pth", state), "tokenizer"
    )


def test_missing_unknown_and_misshapen_keys(tmp_path, state) -> None:
    lacking = {k: v for k, v in state.items() if k != "blocks.1.attn.proj.bias"}
    assert "lacks blocks.1.attn.proj.bias" in refusal(saved(tmp_path / "a.pth", lacking))
    strange = state | {"blocks.0.gate": torch.zeros(1)}
    assert "has unknown blocks.0.gate" in refusal(saved(tmp_path / "b.pth", strange))
    bent = state | {"head.bias": torch.zeros(3)}
    assert "head.bias is (3,) instead of (24,)" in refusal(saved(tmp_path / "c.pth", bent))


def test_values_that_are_not_numbers(tmp_path, state) -> None:
    bad = {k: v.clone() for k, v in state.items()}
    bad["head.weight"][3, 3] = float("nan")
    assert "head.weight holds values that are not numbers" in refusal(
        saved(tmp_path / "nan.pth", bad)
    )


def test_scales_that_cannot_be_read(tmp_path, state) -> None:
    bad = {k: v.clone() for k, v in state.items()}
    bad["lvl_1L"][0, 1] = 2
    assert "its sizes cannot be read" in refusal(saved(tmp_path / "lvl.pth", bad))


def test_tokenizer_metadata_is_read(tmp_path, codec) -> None:
    path = saved(tmp_path / "vae.safetensors", codec)
    part = find_part(read_weights(path), "tokenizer")
    assert part.config.norm_groups == 2 and part.config.channel_mult == (1, 2)
    assert json.dumps(part.metadata)
