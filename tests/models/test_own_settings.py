"""Settings beside a file: taken where they are the network's own, ignored where another model's lie in the same folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ar_guidance.loaders.detect import find_part
from ar_guidance.loaders.read import CheckpointError, read_weights
from ar_guidance.loaders.text.files import find_encoder
from ar_guidance.models.hart.network import HART, HARTConfig
from ar_guidance.models.parts.levels import level_index
from ar_guidance.models.switti.blocks import SwittiConfig
from ar_guidance.models.switti.network import MASK, Switti
from ar_guidance.tests.tiny import randomise, tiny_infinity
from ar_guidance.tests.tiny_encoders import tiny_qwen
from ar_guidance.tests.tiny_tokens import tiny_lumina, tiny_simplear
from safetensors.torch import save_file
from torch import Tensor

SIDES = (1, 2, 4)
FOREIGN = (
    {"model_type": "qwen2", "num_heads": 24, "rope_theta": 1e6, "depth": 2, "norm_eps": 0.1},
    {"num_heads": 24, "rope_theta": 1e6, "norm_eps": 0.1, "rope_size": 64, "depth": 28},
    {"num_heads": 24, "rope_theta": 1e6, "norm_eps": 0.1},
)


def saved(folder: Path, tensors: dict[str, Tensor], settings: dict[str, Any] | None) -> Path:
    kept = {key: value.clone().contiguous() for key, value in tensors.items()}
    save_file(kept, folder / "model.safetensors")
    (folder / "config.json").unlink(missing_ok=True)
    if settings is not None:
        (folder / "config.json").write_text(json.dumps(settings))
    return folder / "model.safetensors"


def found(folder: Path, tensors: dict[str, Tensor], settings: dict[str, Any] | None = None) -> Any:
    return find_part(read_weights(saved(folder, tensors, settings)), "transformer").config


def switti_state(config: SwittiConfig, mask: bool = True) -> dict[str, Tensor]:
    network = Switti(config)
    randomise(network)
    levels = level_index(config.sides)
    own = {**network.state_dict(), "lvl_1L": levels}
    if mask:
        size = levels.numel()
        own[MASK] = torch.full((1, 1, size, size), 0.0 if config.causal else -torch.inf)
    return own


def hart_state(config: HARTConfig) -> dict[str, Tensor]:
    network = HART(config)
    randomise(network)
    text = torch.zeros(1, config.text_tokens, dtype=torch.long)
    return {
        **network.state_dict(),
        "lvl_1L": torch.cat([text, level_index(config.sides)[:, 1:]], 1),
    }


def switti(width: int = 128, heads: int = 2) -> SwittiConfig:
    return SwittiConfig(2, width, heads, 24, 6, SIDES, 48, 8, 5, causal=True)


def hart(width: int = 128, heads: int = 2, **more: Any) -> HARTConfig:
    return HARTConfig(2, width, heads, 24, 6, SIDES, 48, 8, 9, 16, 1, **more)


@pytest.mark.parametrize("settings", FOREIGN)
def test_another_model_s_settings_change_nothing(tmp_path, settings) -> None:
    assert found(tmp_path, switti_state(switti()), settings) == switti()
    assert found(tmp_path, hart_state(hart()), settings) == hart()


@pytest.mark.parametrize("settings", FOREIGN[:2])
def test_another_model_s_settings_leave_infinity_as_it_is(tmp_path, settings) -> None:
    state = tiny_infinity().network.state_dict()
    assert found(tmp_path, state, settings | {"pn": "0.25M"}) == found(tmp_path, state)


def test_the_network_s_own_settings_count(tmp_path) -> None:
    own = {"depth": 2, "num_heads": 4, "rope_theta": 100.0, "rope_size": 64}
    config = found(tmp_path, switti_state(switti(heads=4)), own)
    assert (config.heads, config.rope_theta, config.rope_size) == (4, 100, 64)
    own = {"model_type": "hart_transformer_t2i", "depth": 2, "embed_dim": 128, "num_heads": 8}
    own |= {"num_sampling_steps": "3", "norm_eps": 1e-5}
    config = found(tmp_path, hart_state(hart(heads=8)), own)
    assert config == hart(heads=8, head_steps=3, eps=1e-5)
    assert found(tmp_path, tiny_infinity().network.state_dict(), {"pn": "0.25M"}).scales == 10


def test_another_model_s_settings_do_not_tell_the_kind_of_switti(tmp_path) -> None:
    state = switti_state(switti(), mask=False)
    assert found(tmp_path, state, {"use_ar": True, "depth": 2}).causal
    with pytest.raises(CheckpointError, match="cannot be told from the weights"):
        found(tmp_path, state, {"use_ar": True, "depth": 30})


@pytest.mark.parametrize("width", [24, 48, 120])
def test_heads_that_nothing_tells_are_not_guessed(tmp_path, width) -> None:
    heads = width // 24
    for state, config in (
        (switti_state(switti(width, heads)), switti(width, heads)),
        (hart_state(hart(width, heads)), hart(width, heads)),
    ):
        with pytest.raises(CheckpointError, match=f"share its {width} channels cannot be told"):
            found(tmp_path, state)
        assert found(tmp_path, state, {"depth": 2, "num_heads": heads}) == config


def test_levels_may_be_cast_or_lost(tmp_path) -> None:
    state = switti_state(switti())
    assert found(tmp_path, state | {"lvl_1L": state["lvl_1L"].half()}) == switti()
    state = hart_state(hart())
    assert found(tmp_path, state | {"lvl_1L": state["lvl_1L"].half()}) == hart()
    state.pop("lvl_1L")
    with pytest.raises(CheckpointError, match=r"no lvl_1L\): put the release's config.json"):
        found(tmp_path, state)
    told = {"depth": 2, "embed_dim": 128, "num_heads": 2, "patch_nums": SIDES, "context_token": 9}
    assert found(tmp_path, state, told) == hart()


@pytest.mark.parametrize("steps", ["ddim8", "4,4", None])
def test_timesteps_of_other_forms_are_refused(tmp_path, steps) -> None:
    with pytest.raises(CheckpointError, match="only a plain number is supported"):
        found(tmp_path, hart_state(hart()), {"depth": 2, "num_sampling_steps": steps})


def test_a_text_encoder_s_settings_are_its_own(tmp_path) -> None:
    own = tiny_qwen().state_dict()
    size = {"hidden_size": own["embed_tokens.weight"].shape[1]}
    for settings, base in (
        ({"hidden_size": 7, "rope_theta": 5.0}, 1e6),
        ({"rope_theta": 5.0}, 1e6),
        (size | {"rope_theta": 5.0}, 5.0),
    ):
        assert find_encoder([saved(tmp_path, own, settings)]).config["rope_theta"] == base


# What a release's config.json says of each network, as it would be written for the tiny ones.
SAID: dict[str, tuple[Callable[[], dict[str, Tensor]], dict[str, Any]]] = {
    "switti": (
        lambda: switti_state(switti()),
        {"depth": 2, "num_heads": 2, "rope_theta": 100.0, "rope_size": 64, "use_ar": True},
    ),
    "hart": (
        lambda: hart_state(hart()),
        {"model_type": "hart_transformer_t2i", "depth": 2, "embed_dim": 128, "num_heads": 2}
        | {
            "num_sampling_steps": "3",
            "norm_eps": 1e-5,
            "patch_nums": [1, 2, 4],
            "context_token": 9,
        },
    ),
    "infinity": (
        lambda: tiny_infinity().network.state_dict(),
        {"depth": 2, "pn": "0.25M", "variant": "2b", "add_lvl_embeding_only_first_block": 1},
    ),
    "simplear": (
        lambda: tiny_simplear().network.state_dict(),
        {"model_type": "qwen2", "hidden_size": 32, "num_hidden_layers": 2}
        | {"num_attention_heads": 2, "rope_theta": 1e4, "rms_norm_eps": 1e-6}
        | {"max_position_embeddings": 64, "num_key_value_heads": 1},
    ),
    "lumina": (
        lambda: tiny_lumina().network.state_dict(),
        {"model_type": "chameleon", "hidden_size": 32, "num_hidden_layers": 2}
        | {"num_attention_heads": 2, "rope_theta": 1e4, "rms_norm_eps": 1e-6},
    ),
}
ENTRIES = [(name, key) for name, (_, told) in SAID.items() for key in told]


@pytest.mark.parametrize(("name", "key"), ENTRIES)
def test_a_setting_of_a_wrong_kind_is_left_out_or_refused_in_words(tmp_path, name, key) -> None:
    make, told = SAID[name]
    state = make()
    for wrong in (None, "many", [], {}, [None], -1, 2.5, 10**30, float("inf"), float("nan")):
        try:
            found(tmp_path, state, told | {key: wrong})
        except CheckpointError as error:
            assert str(error).isprintable() and len(str(error)) > 20
