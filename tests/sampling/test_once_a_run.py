"""What a run must not do again at every step: wait for the device, or compute what depends on the condition alone."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.igg import IGG
from ar_guidance.sampling import truncation
from ar_guidance.sampling.draw import Filters
from ar_guidance.tests.tiny import FAMILIES
from ar_guidance.tests.tiny_tokens import TOKEN_FAMILIES
from torch.utils._python_dispatch import TorchDispatchMode

ALL: dict[str, Callable[[], Any]] = {**FAMILIES, **TOKEN_FAMILIES}
# Operations whose result the processor must know before it goes on: on a GPU it waits for all that was queued.
WAITING = {"_local_scalar_dense", "item", "is_nonzero", "nonzero", "equal", "masked_select"}
FILTERS = Filters(temperature=0.9, top_k=5, top_p=0.9, min_p=0.01)
CHAINS = {"cfg": (CFG(3.0),), "igg": (CFG(2.0), IGG(2.0)), "late": (CFG(3.0, "constant", end=0.6),)}
# Layers that read nothing but the condition, by the names the families' files give them.
CONDITION_ALONE = (
    "ada_lin",
    "text_",
    "cond_proj",
    "crop_proj",
    "to_kv",
    "ca.mat_kv",
    "context_embed",
)


class Waits(TorchDispatchMode):
    """Counts operations that wait."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.name().removeprefix("aten::").split(".")[0] in WAITING
        return func(*args, **(kwargs or {}))


def waits_by_step(
    model: Any, guidances: tuple[Any, ...], look: Callable[[Any], object]
) -> list[int]:
    """How often the run had waited when each step was reported."""
    seen: list[int] = []
    with Waits() as waits:

        def note(progress: Any) -> None:
            look(progress)
            seen.append(waits.count)

        model.sample([1, 2], guidances, filters=FILTERS, on_step=note)
    return seen


@pytest.mark.parametrize(
    ("name", "chain"),
    [(n, c) for n in ALL for c in CHAINS if c != "igg" or n in FAMILIES],  # IGG is for scales
)
def test_steps_do_not_wait_for_the_device(name: str, chain: str, monkeypatch) -> None:
    monkeypatch.setattr(truncation, "_on_processor", lambda logits: False)  # which does not wait
    seen = waits_by_step(ALL[name](), CHAINS[chain], lambda progress: None)
    # Beginning and end may: the last step of HART draws a residual by tables on the processor.
    assert len(seen) > 3 and seen[0] == seen[-2]


def test_a_step_that_waits_is_seen() -> None:
    seen = waits_by_step(FAMILIES["var"](), CHAINS["cfg"], lambda step: step.tokens.max().item())
    assert seen[-2] >= seen[0] + len(seen) - 2


@pytest.mark.parametrize("name", FAMILIES)
def test_what_the_condition_decides_is_computed_once(name: str) -> None:
    model, calls = FAMILIES[name](), Counter[str]()
    for path, layer in model.network.named_modules():
        if isinstance(layer, torch.nn.Linear):
            layer.register_forward_hook(lambda *_, path=path: calls.update([path]))
    model.sample([1, 2], CHAINS["cfg"], filters=FILTERS)
    alone = {p: n for p, n in calls.items() if any(part in p for part in CONDITION_ALONE)}
    assert alone and set(alone.values()) == {1}, alone
    assert max(calls.values()) >= 4  # others are asked at every scale


@pytest.mark.parametrize("name", FAMILIES)
def test_queries_keys_and_values_are_one_product(name: str) -> None:
    """In self-attention: keys and values of a text are read once a run, its queries at every scale."""
    model, wide = FAMILIES[name](), []
    width = model.config.width
    for path, layer in model.network.named_modules():
        if isinstance(layer, torch.nn.Linear) and "qkv" in path:
            layer.register_forward_hook(lambda *given: wide.append(given[2].shape[-1]))
    steps: list[Any] = []
    model.sample([1, 2], CHAINS["cfg"], filters=FILTERS, on_step=steps.append)
    assert wide == [3 * width] * len(steps) * model.config.depth
