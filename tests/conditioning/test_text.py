"""CONDITIONING as a condition: what every text family makes of it, and what is refused."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from ar_guidance.conditioning.text import TextConditioning, read_conditioning
from ar_guidance.models import llamagen, var, var_clip
from ar_guidance.models.hart import network as hart
from ar_guidance.models.infinity import network as infinity
from ar_guidance.models.switti import network as switti
from ar_guidance.models.text.encoders import MARK
from ar_guidance.tests.tiny import (
    CPU,
    tiny_hart,
    tiny_infinity,
    tiny_switti,
    tiny_var,
    tiny_var_clip,
)
from ar_guidance.tests.tiny_tokens import tiny_llamagen_text


@dataclass
class Model:
    family: Any
    network: Any
    name: str = "tiny.safetensors"

    @property
    def config(self) -> Any:
        return self.network.config


MODELS = {
    "var_clip": lambda: Model(var_clip.FAMILY, tiny_var_clip().network),
    "switti": lambda: Model(switti.FAMILY, tiny_switti().network),
    "infinity": lambda: Model(infinity.FAMILY, tiny_infinity().network),
    "hart": lambda: Model(hart.FAMILY, tiny_hart().network),
    "llamagen_text": lambda: Model(llamagen.FAMILY_TEXT, tiny_llamagen_text().network),
}
UNMARKED = {MARK: ""}  # as of any loader but ours
ROWS = {"var_clip": 1, "hart": 9}  # always so many; the others: the prompt's own


def entry(
    name: str, live: int = 3, rows: int = 0, seed: int = 0, count: int = 1, **options: Any
) -> list[Any]:
    """An entry of a CONDITIONING as the family's encoder gives it: `live` tokens in `rows` rows."""
    spec, config = MODELS[name]().family.text, MODELS[name]().config
    rows = rows or ROWS.get(name, live)
    generator = torch.Generator().manual_seed(seed)
    given = {"attention_mask": (torch.arange(rows) < live).long()[None], "pooled_output": None}
    given[MARK] = spec.encoder.name
    if spec.pooled(config):
        given["pooled_output"] = torch.randn(count, spec.pooled(config), generator=generator)
    features = torch.randn(count, rows, spec.width(config), generator=generator)
    return [features, given | options]


def condition(positive: list[Any], negative: list[Any] | None = None) -> TextConditioning:
    against = read_conditioning(negative, "negative") if negative else ()
    return TextConditioning(read_conditioning(positive, "positive"), against)


def refusal(name: str, positive: list[Any], negative: list[Any] | None = None) -> str:
    with pytest.raises(ValueError) as raised:
        condition(positive, negative).check(MODELS[name]())
    return str(raised.value)


@pytest.mark.parametrize("name", MODELS)
def test_every_family_begins_with_its_condition(name: str) -> None:
    """Two prompts of different lengths, three copies of each, against one negative."""
    model = MODELS[name]()
    given = condition([entry(name, 3), entry(name, 5, seed=1)], [entry(name, 2, seed=2)])
    given.check(model)
    assert given.count == 2
    with torch.inference_mode():
        both = model.network.begin(given.branches(model, 3), CPU)
        assert model.network.step(both, *FIRST_STEP[name], 12).shape[0] == 12


FIRST_STEP = {
    **dict.fromkeys(("var_clip", "switti", "infinity", "hart"), (0, None)),
    "llamagen_text": (None,),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_is_its_prompts_one_by_one(name: str) -> None:
    """Padding to the longest prompt, and entries with several rows, change nothing."""
    model = MODELS[name]()
    entries = [entry(name, 5, seed=1), entry(name, 3), entry(name, 3)]
    against = [entry(name, 2, seed=2)] if name == "switti" else None

    def first_logits(positive: list[Any]) -> torch.Tensor:
        given = condition(positive, against)
        given.check(model)
        rows = 2 * given.count
        with torch.inference_mode():
            state = model.network.begin(given.branches(model, 1), CPU)
            return model.network.step(state, *FIRST_STEP[name], rows).unflatten(0, (2, -1))

    together = first_logits(entries)
    alone = torch.cat([first_logits([one]) for one in entries], dim=1)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    features = torch.cat([entries[1][0], entries[2][0]])
    pooled = entries[1][1]["pooled_output"]
    options = {"pooled_output": None if pooled is None else pooled.repeat(2, 1)}
    joined = first_logits([[features, entries[1][1] | options]])
    torch.testing.assert_close(joined, alone[:, 1:], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_an_entry_is_its_prompt_given_alone(name: str) -> None:
    """Bit for bit: without the padding that the longest prompt of the batch brings."""
    model = MODELS[name]()
    entries = [entry(name, 5, seed=1), entry(name, 3), entry(name, 2, seed=3)]
    against = [entry(name, rows, seed=rows) for rows in (2, 4, 3)]
    for negative in (against, against[:1], None) if name != "switti" else (against, against[:1]):
        batch = condition(entries, negative)
        for i, one in enumerate(entries):
            own = negative and negative[i if len(negative) > 1 else 0]
            alone = condition([one], [own] if own else None)
            for a, b in zip(
                tensors(batch.entry(i).branches(model, 1)),
                tensors(alone.branches(model, 1)),
                strict=True,
            ):
                assert torch.equal(a, b)


def tensors(condition: Any) -> list[torch.Tensor]:
    """All tensors of a condition, whatever it is made of."""
    if isinstance(condition, torch.Tensor):
        return [condition]
    parts = condition if isinstance(condition, tuple) else vars(condition).values()
    return [tensor for part in parts if part is not None for tensor in tensors(part)]


def test_the_prompt_is_copied_image_by_image() -> None:
    model = MODELS["var_clip"]()
    given = condition([entry("var_clip"), entry("var_clip", seed=1)])
    cond, uncond = given.branches(model, 2)
    assert torch.equal(cond[0], cond[1]) and torch.equal(cond[2], cond[3])
    assert not torch.equal(cond[0], cond[2])
    torch.testing.assert_close(cond.norm(dim=-1), torch.ones(4))
    assert torch.equal(uncond, model.network.null_condition(4))


def test_var_clip_normalises_the_encoder_s_vector() -> None:
    given, model = entry("var_clip"), MODELS["var_clip"]()
    cond, _ = condition([given]).branches(model, 1)
    torch.testing.assert_close(cond, F.normalize(given[0][:, 0], dim=-1))


def test_llamagen_reads_the_prompt_at_the_end_of_its_prefix() -> None:
    given, model = entry("llamagen_text", live=2, rows=5), MODELS["llamagen_text"]()
    cond, uncond = condition([given]).branches(model, 1)
    assert cond.mask.tolist() == [[0, 0, 0, 0, 1, 1]]
    torch.testing.assert_close(cond.features[:, 4:], given[0][:, :2])
    assert not cond.features[:, :4].any() and uncond.features is None


def test_hart_draws_without_a_prompt_where_the_text_is_empty() -> None:
    model = MODELS["hart"]()
    given = condition([entry("hart", live=0)])
    given.check(model)
    cond, uncond = given.branches(model, 1)
    assert torch.equal(cond.features, uncond.features) and torch.equal(cond.live, uncond.live)


def test_a_prompt_of_padding_alone_is_refused() -> None:
    for name in ("infinity", "switti"):
        model = MODELS[name]()
        with pytest.raises(ValueError, match="all of it is padding"):
            condition([entry(name, live=0, rows=4)]).branches(model, 1)


@pytest.mark.parametrize("name", MODELS)
def test_another_encoder_is_refused_and_the_right_one_named(name: str) -> None:
    title = MODELS[name]().family.text.encoder.title
    for other in MODELS:
        spec = MODELS[other]().family.text
        if spec.encoder != MODELS[name]().family.text.encoder:
            message = refusal(name, [entry(name, **{MARK: spec.encoder.name})])
            assert f"comes from {spec.encoder.title}" in message
            assert title in message and "AR Load Text Encoder" in message
    wide = entry(name)
    wide[0] = F.pad(wide[0], (0, 1))
    assert "wide instead of" in refusal(name, [wide])


def test_what_betrays_an_encoder_without_a_mark() -> None:
    stock_clip_l = [torch.zeros(1, 77, 8), {"pooled_output": torch.zeros(1, 8)}]
    assert "has 77 rows instead of 1" in refusal("var_clip", [stock_clip_l])
    vector = entry("var_clip", pooled_output=torch.zeros(1, 5), **UNMARKED)
    assert "should have none" in refusal("var_clip", [vector])
    stock_pair = [torch.zeros(1, 77, 8), {"pooled_output": torch.zeros(1, 5)}]
    message = refusal("switti", [stock_pair], [stock_pair])
    assert "does not say which of its rows are padding" in message and "CLIP-bigG" in message
    alone = entry("switti", pooled_output=None, **UNMARKED)
    assert "has no pooled vector" in refusal("switti", [alone], [alone])
    assert "has 8 rows instead of 9" in refusal("hart", [entry("hart", rows=8)])


@pytest.mark.parametrize("name", ["infinity", "llamagen_text", "hart"])
def test_what_only_our_loader_can_load_must_come_from_it(name: str) -> None:
    """A stock encoder of the right width, with or without a mask, long or short: never read as the right one."""
    rows = ROWS.get(name, 200)
    masked, bare = (entry(name, live, rows, **UNMARKED) for live in (2, rows))
    del bare[1]["attention_mask"]
    for stock in [masked] if name == "hart" else [masked, bare]:
        for message in (refusal(name, [stock]), refusal(name, [entry(name)], [stock])):
            assert "does not come from AR Load Text Encoder" in message
            assert MODELS[name]().family.text.encoder.load in message
    assert refusal(name, [entry(name), masked]).startswith("positive")  # every entry is looked at


def test_the_encoders_of_switti_and_var_clip_may_be_loaded_elsewhere() -> None:
    for name in ("switti", "var_clip"):
        unmarked = entry(name, **UNMARKED)
        condition([unmarked], [unmarked]).check(MODELS[name]())


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_features_that_are_no_numbers_are_refused(name: str, value: float) -> None:
    broken = entry(name)
    broken[0][0, 0, 1] = value
    for message in (refusal(name, [broken]), refusal(name, [entry(name)], [broken])):
        assert "not all numbers" in message and "precision" in message
        assert MODELS[name]().family.text.encoder.title in message
    if MODELS[name]().family.text.pooled(MODELS[name]().config):
        pooled = entry(name)
        pooled[1]["pooled_output"][0, 0] = value
        assert "not all numbers" in refusal(name, [pooled], [entry(name)])


def test_the_mark_outlives_copies_of_the_options() -> None:
    """What stock nodes that average, scale or join prompts leave: other features, the first prompt's options."""
    first, second = entry("infinity", 4), entry("infinity", 4, seed=1)
    average = [0.3 * first[0] + 0.7 * second[0], first[1].copy()]
    zeros = [torch.zeros_like(first[0]), first[1].copy()]
    condition([average, second, zeros]).check(MODELS["infinity"]())


def test_too_long_a_prompt_is_refused_with_its_length() -> None:
    for name, most in (("infinity", 12), ("llamagen_text", 6), ("switti", 77)):
        message = refusal(name, [entry(name, live=most + 1)], [entry(name)])
        assert f"has {most + 1} tokens" in message and f"at most {most}" in message
        assert message.startswith("positive")
        condition([entry(name, live=most, rows=most + 8)], [entry(name)]).check(MODELS[name]())
        assert refusal(name, [entry(name)], [entry(name, live=most + 1)]).startswith("negative")


def test_negatives_are_one_for_all_or_one_each() -> None:
    three = [entry("infinity", seed=seed) for seed in range(3)]
    assert "2 negative prompts for 3" in refusal("infinity", three, three[:2])
    for against in (three[:1], three):
        _, uncond = condition(three, against).branches(MODELS["infinity"](), 2)
        assert uncond.features.shape[0] == 6
        assert torch.equal(uncond.features[4], against[-1][0][0])


def test_switti_needs_a_negative() -> None:
    assert "needs the negative input" in refusal("switti", [entry("switti")])


def test_what_other_nodes_ask_for_is_refused() -> None:
    with pytest.raises(ValueError, match="Conditioning \\(Set Area\\)"):
        condition([entry("infinity", area=(1, 1, 0, 0))])
    with pytest.raises(ValueError, match="empty"):
        condition([])
    joined = entry("infinity")
    joined[0] = torch.cat([joined[0], joined[0]], 1)  # as Conditioning (Concat) does
    with pytest.raises(ValueError, match="6 rows and a mask for 3"):
        condition([joined])


def test_a_class_model_reads_no_text() -> None:
    with pytest.raises(ValueError, match="AR Class Condition"):
        condition([entry("infinity")]).check(Model(var.FAMILY, tiny_var().network))
