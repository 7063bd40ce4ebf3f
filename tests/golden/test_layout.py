"""What the layout of a case allows beyond the cases we have: variants of our own, and tensors nobody compares."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from ar_guidance.models.parts.prompt import Prompt
from ar_guidance.tests.golden.loading import load
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor

HERE = Path(__file__).parent

golden = load("golden_test", HERE / "test_golden.py")
Tensors = dict[str, Tensor]
Change = Callable[[dict[str, Any], Tensors], Tensors]


@pytest.fixture
def variant(tmp_path: Path) -> Callable[[str, Change], Path]:
    """One of our cases, its settings (in place) and its tensors (returned) changed."""

    def make(name: str, change: Change) -> Path:
        folder = tmp_path / name
        shutil.copytree(HERE / "cases" / name, folder)
        facts = json.loads((folder / "case.json").read_text(encoding="utf-8"))
        tensors = change(facts, load_file(folder / "expected.safetensors"))
        save_file(
            {key: value.contiguous() for key, value in tensors.items()},
            folder / "expected.safetensors",
        )
        (folder / "case.json").write_text(json.dumps(facts), encoding="utf-8")
        return folder

    return make


FAMILIES = ("var/d2_256like", "infinity/patchify_wide_sharded", "hart/t2i", "llamagen/c2i_square4")


@pytest.mark.parametrize("name", (*FAMILIES, "simplear/untied", "lumina_mgpt2/t2i_decay"))
def test_a_tensor_that_nothing_compares_is_a_failure_with_its_name(variant, name: str) -> None:
    def add(facts: dict[str, Any], tensors: Tensors) -> Tensors:
        return tensors | {"unheard.of": next(iter(tensors.values())).clone()}

    with pytest.raises(AssertionError, match="nothing compared: unheard.of"):
        golden.test_golden(variant(name, add))


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("var/d2_256like", ("step", "f_hat", "enc.", "edit.", "filter.", "gumbel.")),
        ("infinity/patchify_wide_sharded", ("step", "text.", "negative.")),
        ("hart/t2i", ("step", "text.", "diff.noise")),
        ("switti/ar", ("step", "text.")),
        ("llamagen/c2i_square4", ("tokens",)),
        ("simplear/untied", ("tokens", "prompt_ids", "negative_ids")),
    ],
)
def test_a_case_may_record_less(variant, name: str, kept: tuple[str, ...]) -> None:
    """Runs without maps, images, encodes or filters."""

    def drop(facts: dict[str, Any], tensors: Tensors) -> Tensors:
        for settings in (facts.get("runs") or {}).values():
            if "cfg" in settings:
                settings["maps"] = False
        left = {k: v for k, v in tensors.items() if k.startswith(kept) and "next_map" not in k}
        assert len(left) < len(tensors)
        return left

    golden.test_golden(variant(name, drop))


def test_scale_1_has_no_unconditional_tensors(variant) -> None:
    def unguided(facts: dict[str, Any], tensors: Tensors) -> Tensors:
        facts["guidance"]["cfg_scale"] = 1.0
        logits = tensors["run_nocfg.logits"]
        return {
            "tokens": tensors["run_nocfg.tokens"],
            "logits_cond": logits,
            "guided": logits.clone(),
        }

    golden.test_golden(variant("llamagen/c2i_square4", unguided))


@pytest.mark.parametrize(
    ("stated", "guided"),
    [({"interval": [0.0, 0.2]}, 4), ({"cfg_interval": 2}, 4), (1, 3), ({"cfg_scale": 1.0}, 0)],
)
def test_an_extra_run_may_be_guided_for_a_while_only(variant, stated: Any, guided: int) -> None:
    """Tokens 0 to `guided` - 1 of 16 are; up to there the run equals the main one, which the case has."""

    def add(facts: dict[str, Any], tensors: Tensors) -> Tensors:
        facts["guidance"]["extra_runs"]["while"] = stated
        return tensors | {"run_while.guided": tensors["guided"].clone()}

    folder = variant("llamagen/c2i_square4", add)
    case = golden.Case(folder)
    made: dict[str, Tensor] = {}
    case.compare = lambda name, value, near=0.0: made.setdefault(name, value)  # type: ignore[method-assign]
    load("golden_llamagen", HERE / "families" / "llamagen.py").run(case)
    main, extra = made["guided"], made["run_while.guided"]
    same = (main == extra).flatten(2).all(-1).all(0)
    assert same[:guided].all() and not same[guided:].any()


def test_several_prompts_share_a_batch(variant) -> None:
    """Rows of different lengths, the first as it is alone."""

    def double(facts: dict[str, Any], tensors: Tensors) -> Tensors:
        ids = tensors["prompt_ids.0"]
        facts["inputs"]["prompt_ids"].append("prompt_ids.1")
        return {
            "prompt_ids.0": ids,
            "prompt_ids.1": ids[:, [0, 2, 1, -1]],
            "negative_ids.0": tensors["negative_ids.0"],
            "rep1.1.tokens": tensors["rep1.1.tokens"],
        }

    golden.test_golden(variant("simplear/untied", double))


def test_a_penalty_that_a_case_states_is_the_one_that_acts(variant) -> None:
    def other(facts: dict[str, Any], tensors: Tensors) -> Tensors:
        tokens = tensors.pop("rep1.1.tokens")
        return tensors | {"rep0.05.tokens": tokens}

    with pytest.raises(AssertionError, match=r"rep0\.05\.tokens"):
        golden.test_golden(variant("simplear/untied", other))


@pytest.mark.parametrize(
    ("stated", "image", "tokens"),
    [
        ("ref.image", "ref.image", "ref.tokens"),
        ({"image": "given_image"}, "given_image", "given_codes"),
        ("ref.tokens", "", "ref.tokens"),
    ],
    ids=("pixels", "by its kind", "tokens alone"),
)
def test_a_given_panel(variant, stated: Any, image: str, tokens: str) -> None:
    """Image to image: what the case must hold, decoded here token by token without a cache."""
    request = (
        "Generate a dual-panel image of 32x64 where the <upper half> displays a <depth map>, while the <lower half>"
        " retains the original image for direct visual comparison:\nwaterfall, photograph"
    )

    def paneled(facts: dict[str, Any], tensors: Tensors) -> Tensors:
        facts["inputs"] |= {"texts": [request], "reference_image": stated}
        folder = HERE / "cases" / "lumina_mgpt2" / "t2i_decay"
        made = naive(facts, folder, request, tensors["enc.image"][..., :32].contiguous())
        pixels, codes = made.pop("ref.image"), made.pop("ref.tokens")
        return made | {tokens: codes} | ({image: pixels} if image else {})

    golden.test_golden(variant("lumina_mgpt2/t2i_decay", paneled))


def naive(facts: dict[str, Any], folder: Path, request: str, panel: Tensor) -> Tensors:
    """The tensors of such a case."""
    shared = load("golden_shared", HERE / "shared.py")
    case = golden.Case(folder)
    found = shared.find(case, "transformer", "language_model_index")
    config = replace(found.config, grid=(8, 4))
    codec = shared.build(shared.fitted(found, shared.find(case, "tokenizer", "image_tokenizer")))
    words = found.family.trim(replace(config, first=0, vocab=config.words), found.weights.tensors)
    whole = replace(found, config=replace(config, first=0, vocab=config.words), tensors=words)
    network, ids = shared.build(whole), facts["config"]["tokens"]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    with torch.inference_mode():
        codes = codec.encode(panel)
        lines = [[*row, ids["new_line"]] for row in (codes + config.first).view(4, 4).tolist()]
        prompt = [ids["bos"], *tokenizer.encode(request, add_special_tokens=False).ids, ids["sep"]]
        head = [*config.head, *(id for line in lines for id in line)]
        made: list[int] = []
        for k in range(21):
            forced = ids["image_end"] if k == 20 else ids["new_line"]
            if k % 5 == 4 or k == 20:
                made.append(forced)
                continue
            both = [_last(network, [*start, *head, *made]) for start in (prompt, [])]
            guided = both[1] + 4 * (both[0] - both[1])
            columns = slice(config.first, config.first + config.vocab)
            made.append(config.first + int(guided[columns].argmax()))
    tokens = torch.tensor([made])
    drawn = tokens[0, [k for k in range(20) if k % 5 != 4]] - config.first
    return {
        "ref.image": panel,
        "ref.tokens": codes.view(1, 4, 4),
        "prompt_ids.0": torch.tensor([prompt]),
        "context_ids.0": torch.tensor([[*prompt, *head]]),
        "head_ids": torch.tensor([head]),
        "tokens": tokens,
        "codes": drawn[None],
        "guidance_scale": torch.full((21,), 4.0),
    }


def _last(network: Any, ids: list[int]) -> Tensor:
    """Logits behind the last of some ids, every position computed again."""
    prompt = Prompt.of([ids])
    return network.head(
        network.outputs(prompt, network.embed(torch.empty(1, 0, dtype=torch.long)))
    )[0, -1].float()
