"""What the scale-wise text families refuse, and what their configs know."""

import json
from dataclasses import replace

import pytest
import torch
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.hidden_cfg import HiddenCFG
from ar_guidance.guidance.schedule import Schedule
from ar_guidance.loaders.detect import find_part, fitted
from ar_guidance.loaders.read import CheckpointError, read_weights
from ar_guidance.models import var, var_clip
from ar_guidance.models.hart import network as hart
from ar_guidance.models.infinity import network as infinity
from ar_guidance.models.infinity.grids import BUDGETS, TEMPLATES, place_of, sizes, template_for
from ar_guidance.models.parts.text import TextCondition
from ar_guidance.models.switti import network as switti
from ar_guidance.models.tokenizers.bsq import BitwiseConfig
from ar_guidance.sampling.draw import Filters
from ar_guidance.tests.tiny import FAMILIES, tiny_hart, tiny_infinity, tiny_switti
from safetensors.torch import save_file


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
@pytest.mark.parametrize("name", FAMILIES)
def test_half_precision_agrees_on_greedy_tokens(name, dtype) -> None:
    model, greedy = FAMILIES[name](), Filters(temperature=0)
    wide = model.sample([1, 2], (CFG(2.0),), filters=greedy)
    model.network.to(dtype).compute_dtype = dtype
    half = model.sample([1, 2], (CFG(2.0),), filters=greedy)
    same = [(a == b).flatten() for a, b in zip(wide.tokens, half.tokens, strict=True)]
    assert torch.cat(same).float().mean() >= 0.95


@pytest.mark.parametrize(
    ("family", "preferred"),
    [
        *((switti, torch.bfloat16), (infinity, torch.bfloat16)),
        *((hart, torch.float16), (var, torch.float16), (var_clip, torch.float16)),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_family_runs_in_its_release_s_half_precision_first(family, preferred) -> None:
    assert family.FAMILY.dtypes[0] == preferred
    assert set(family.FAMILY.dtypes) == {torch.bfloat16, torch.float16, torch.float32}


def test_infinity_templates_are_in_the_release_s_order() -> None:
    order = [1.0, 1.25, 0.8, 1.333, 0.75, 1.5, 0.666, 1.75, 0.571, 2.0, 0.5, 2.5, 0.4, 3.0, 0.333]
    assert [template.ratio for template in TEMPLATES] == order
    assert template_for(2.2).ratio == 2.0
    assert template_for(1.0).at("0.06M")[-1] == (16, 16)


def test_infinity_sizes_lead_to_their_scale_lists_and_back() -> None:
    config = tiny_infinity().config
    for budget in BUDGETS:
        for template, (height, width) in zip(TEMPLATES, sizes(budget), strict=True):
            frame = height // 16, width // 16
            assert place_of(frame) == (template.ratio, BUDGETS[budget])
            sized = infinity.FAMILY.sized(config, height, width, 16)
            assert sized.grids == template.at(budget) and sized.grid == frame
    wide = infinity.FAMILY.sized(config, 720, 1440, 16)
    assert len(wide.grids) == 13 and wide.grid == (45, 90)
    assert infinity.FAMILY.sized(config, 48, 96, 16) == config  # its own


def test_infinity_refuses_other_sizes_naming_the_nearest() -> None:
    with pytest.raises(ValueError, match="no images of 1000x1000 pixels; nearest: 1024x1024"):
        infinity.FAMILY.sized(tiny_infinity().config, 1000, 1000, 16)
    for asked, nearest in (
        ((700, 700), "768x768, 512x512, 1024x1024"),
        ((750, 1500), "1440x720, 1184x592, 736x368"),
        ((430, 320), "240x320, 432x576, 720x960"),
    ):
        with pytest.raises(ValueError, match=f"nearest: {nearest}$"):
            infinity.FAMILY.sized(tiny_infinity().config, *asked, 16)
    with pytest.raises(ValueError, match="nearest: 8x8$"):
        hart.FAMILY.sized(tiny_hart().config, 1024, 1024, 2)


def test_infinity_s_tokenizer_is_fitted_or_refused() -> None:
    config, codec = tiny_infinity().network.config, BitwiseConfig(8, 24, (1,), 1, (1,), 2)
    assert infinity.fit(config, codec).patch == 1
    assert infinity.fit(config, replace(codec, dim=2)).patch == 2
    with pytest.raises(ValueError, match="8 bits per token, the tokenizer has 5"):
        infinity.fit(config, replace(codec, dim=5))


def test_a_tokenizer_s_variant_counts_only_where_both_files_say_theirs() -> None:
    config, codec = tiny_infinity().network.config, BitwiseConfig(8, 24, (1,), 1, (1,), 2)
    said = replace(config, variant="d32reg")
    for tokenizer in (codec, replace(codec, variant="d32reg")):
        assert infinity.fit(said, tokenizer).patch == infinity.fit(config, tokenizer).patch == 1
    with pytest.raises(
        ValueError, match="goes with tokenizer d32reg, the tokenizer that it is d32"
    ):
        infinity.fit(said, replace(codec, variant="d32"))


def test_hidden_guidance_is_refused_where_the_network_has_no_place_for_it() -> None:
    run = RunInfo("scale", ((1, 1), (2, 2)))
    with pytest.raises(ValueError, match="cannot mix branches"):
        Chain((HiddenCFG(),)).check(run)
    Chain((HiddenCFG(depth=1),)).check(replace(run, mixable=2))
    with pytest.raises(ValueError, match="less than the model's 2 blocks"):
        Chain((HiddenCFG(depth=2),)).check(replace(run, mixable=2))


def test_hidden_guidance_of_scale_one_costs_nothing() -> None:
    run = RunInfo("scale", ((1, 1), (2, 2)), mixable=2)
    assert Chain((HiddenCFG(scale=1.0, depth=1),)).needs_uncond(run) == (False, False)
    assert Chain((HiddenCFG(scale=2.0, depth=1),)).needs_uncond(run) == (True, True)


def test_published_end_of_guidance_drops_the_branch() -> None:
    config = tiny_switti().network.config
    long = switti.published(replace(config, sides=tuple(range(1, 15))))
    run = RunInfo(
        "scale", ((1, 1),) * 14, causal=False, published=Schedule(long.schedule, end=long.end)
    )
    assert Chain((CFG(7.0),)).needs_uncond(run) == (False, *(True,) * 10, *(False,) * 3)
    assert switti.published(config).end == 1.0


def test_hart_wants_its_own_number_of_text_tokens() -> None:
    network = tiny_hart().network
    text = TextCondition(torch.zeros(1, 4, 8), torch.ones(1, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match="exactly 9 text tokens"):
        network.begin((text,), torch.device("cpu"))
    assert hart.FAMILY.defaults_for(network.config).schedule == "held ramp"


@pytest.fixture
def shards(tmp_path):
    """Infinity in two files and an index."""
    state = {k: v.contiguous() for k, v in tiny_infinity().network.state_dict().items()}
    names = {}
    for i, keys in enumerate((list(state)[::2], list(state)[1::2])):
        save_file({key: state[key] for key in keys}, tmp_path / f"model-{i}.safetensors")
        names |= dict.fromkeys(keys, f"model-{i}.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": names}))
    return tmp_path


def test_shards_are_read_through_folder_or_index(shards) -> None:
    for path in (shards, shards / "model.safetensors.index.json"):
        part = find_part(read_weights(path), "transformer")
        assert part.family.name == "infinity" and part.config.bits == 8


def test_a_missing_shard_is_named(shards) -> None:
    (shards / "model-1.safetensors").unlink()
    with pytest.raises(
        CheckpointError, match=r"1 of its 2 files are missing \(model-1.safetensors\)"
    ):
        read_weights(shards)


def test_a_foreign_tokenizer_is_refused(shards, tmp_path) -> None:
    codec = FAMILIES["var"]().codec.state_dict()
    state = {key: value.contiguous() for key, value in codec.items()}
    save_file(state, tmp_path / "vae.safetensors", {"norm_groups": "2"})
    main = find_part(read_weights(shards), "transformer")
    with pytest.raises(CheckpointError, match="Infinity transformer does not work with the VAR"):
        fitted(main, find_part(read_weights(tmp_path / "vae.safetensors"), "tokenizer"))
