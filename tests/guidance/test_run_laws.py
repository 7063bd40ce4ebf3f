"""Laws of guided runs: every registered method and chains of two, through the loop of every family.

A chain that cannot act on a family must say so, in the words of the family's documentation; all others keep the laws.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar

import pytest
import torch
from ar_guidance.guidance.base import Guidance, RunInfo, Signal, Step, StepResult, TokenWeights
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.hidden_cfg import HiddenCFG
from ar_guidance.guidance.record import TraceRecorder
from ar_guidance.guidance.registry import METHODS
from ar_guidance.tests.chains import CHAINS, NEXT_TOKEN, Links, refusal
from ar_guidance.tests.rounding import SEEDS, holds
from ar_guidance.tests.tiny import FAMILIES
from ar_guidance.tests.tiny_tokens import TOKEN_FAMILIES
from torch import Tensor

EVERY = {**FAMILIES, **TOKEN_FAMILIES}
PAIRS = [(family, chain) for family in sorted(EVERY) for chain in CHAINS]
ACTING = [(family, chain) for family, chain in PAIRS if refusal(family, CHAINS[chain]) is None]
acting = pytest.mark.parametrize(("family", "chain"), ACTING)
LABELS = [1, 2, 3]


@cache
def model_of(family: str) -> Any:
    """One network for all laws: what a run leaves behind in it is found by the next."""
    return EVERY[family]()


@dataclass(frozen=True)
class Made:
    """One run: guided logits (B, T, V) and tokens of every step, and what is decoded.

    Attributes:
        branches: per step, whether the unconditional branch was computed.
    """

    guided: list[Tensor]
    tokens: list[Tensor]
    features: Tensor
    branches: list[bool]

    def pick(self, images: list[int]) -> "Made":
        """Some of the images."""
        guided, tokens = ([row[images] for row in rows] for rows in (self.guided, self.tokens))
        return Made(guided, tokens, self.features[images], self.branches)

    def equals(self, other: "Made") -> bool:
        """Bit by bit."""
        pairs = zip(self.guided + self.tokens, other.guided + other.tokens, strict=True)
        return torch.equal(self.features, other.features) and all(
            torch.equal(a, b) for a, b in pairs
        )

    def agrees(self, other: "Made") -> bool:
        """The same tokens, everything else up to what the size of a batch does to rounding."""
        tokens = zip(self.tokens, other.tokens, strict=True)
        numbers = zip([*self.guided, self.features], [*other.guided, other.features], strict=True)
        return all(torch.equal(a, b) for a, b in tokens) and all(
            torch.allclose(a, b, atol=1e-4) for a, b in numbers
        )


def made(family: str, guidances: Links, labels: list[int] = LABELS, **options: Any) -> Made:
    """Run a chain through a family's loop."""
    steps: list[Any] = []
    result = model_of(family).sample(labels, guidances, on_step=steps.append, **options)
    guided = [step.guided for step in steps]
    tokens = [step.tokens[:, -step.guided.shape[1] :].clone() for step in steps]
    branches = [step.uncond is not None for step in steps]
    return Made(guided, tokens, getattr(result, "features", result.tokens), branches)


@cache
def plain(family: str, chain: str, seed: int = SEEDS[0]) -> Made:
    """The run that the others are compared with."""
    return made(family, CHAINS[chain], seed=seed)


def test_every_method_is_run_and_acts_somewhere() -> None:
    for method in METHODS.values():
        single = [
            name
            for name, guidances in CHAINS.items()
            if len(guidances) == 1 and type(guidances[0]) is method
        ]
        assert any(chain in single for _, chain in ACTING), method.name
    assert set(NEXT_TOKEN) == set(TOKEN_FAMILIES)


@pytest.mark.parametrize(("family", "chain"), [pair for pair in PAIRS if pair not in ACTING])
def test_what_cannot_act_says_so_before_the_run(family, chain) -> None:
    seen = []
    with pytest.raises(ValueError, match=refusal(family, CHAINS[chain])):
        model_of(family).sample([1], CHAINS[chain], on_step=seen.append)
    assert not seen


@acting
def test_it_changes_the_image(family, chain) -> None:
    assert not plain(family, chain).agrees(unguided(family))


def test_a_wrong_stream_of_numbers_is_noticed() -> None:
    """What the two laws below would miss, they could not protect: another image's random numbers."""
    for family in EVERY:
        for seed in SEEDS:
            other = made(family, CHAINS["cfg"], [LABELS[1]], first=0, seed=seed)
            assert not plain(family, "cfg", seed).pick([1]).agrees(other), family


@cache
def unguided(family: str) -> Made:
    return made(family, ())


@acting
def test_image_i_of_a_batch_is_image_i_alone(family, chain) -> None:
    for i, label in enumerate(LABELS):

        def law(seed: int, i: int = i, label: int = label) -> bool:
            alone = made(family, CHAINS[chain], [label], first=i, seed=seed)
            return plain(family, chain, seed).pick([i]).agrees(alone)

        assert holds(law)


@acting
def test_images_in_another_order_are_the_same_images(family, chain) -> None:
    order = [2, 0, 1]

    def law(seed: int) -> bool:
        labels = [LABELS[i] for i in order]
        moved = made(family, CHAINS[chain], labels, images=order, seed=seed)
        return plain(family, chain, seed).pick(order).agrees(moved)

    assert holds(law)


@acting
def test_recording_changes_nothing(family, chain) -> None:
    recorder = TraceRecorder(model_of(family).run.grids)
    assert plain(family, chain).equals(made(family, CHAINS[chain], recorder=recorder))
    assert recorder.finish().batch == len(LABELS)


@acting
def test_the_same_settings_again_give_the_same(family, chain) -> None:
    again = tuple(replace(guidance) for guidance in CHAINS[chain])
    assert plain(family, chain).equals(made(family, again))


def early(guidances: Links, count: int) -> Links:
    """The same chain, whose guidance stops before the end."""
    listed = {"schedule": "list", "values": (3.0,) * (count // 2) + (1.0,) * (count - count // 2)}
    return tuple(
        replace(guidance, **(listed if isinstance(guidance, HiddenCFG) else {"end": 0.4}))
        for guidance in guidances
    )


@acting
def test_dropping_the_unconditional_branch_changes_nothing(family, chain, monkeypatch) -> None:
    guidances = early(CHAINS[chain], model_of(family).run.count)
    wanted = any(guidance.combines or isinstance(guidance, HiddenCFG) for guidance in guidances)
    dropped = {seed: made(family, guidances, seed=seed) for seed in SEEDS}
    for run in dropped.values():
        assert run.branches[0] == wanted and not run.branches[-1]
    monkeypatch.setattr(Chain, "needs_uncond", lambda self, run: (True,) * run.count)

    def law(seed: int) -> bool:
        computed = made(family, guidances, seed=seed)
        return all(computed.branches) and dropped[seed].agrees(computed)

    assert holds(law)


# --- a link that fails ------------------------------------------------------------------------------------------------


class Broken(Exception):
    pass


@dataclass(frozen=True)
class Failing(Guidance):
    """Raises at one of its stages, the third time it is asked."""

    name: ClassVar[str] = "failing"
    combines: ClassVar[bool] = False
    needs_weights: ClassVar[bool] = True
    stage: str = "apply"

    def _asked(self, stage: str, state: Iterator[int]) -> None:
        if stage == self.stage and next(state) == 2:
            raise Broken(stage)

    def begin(self, run: RunInfo) -> Iterator[int]:
        return iter(range(9))

    def apply(self, step: Step, signal: Signal, run: RunInfo, state: Iterator[int]) -> Signal:
        self._asked("apply", state)
        return signal

    def weights(self, index: int, run: RunInfo, state: Iterator[int]) -> TokenWeights | None:
        self._asked("weights", state)
        return None

    def observe(self, drawn: StepResult, run: RunInfo, state: Iterator[int]) -> None:
        self._asked("observe", state)


@pytest.mark.parametrize("stage", ["apply", "weights", "observe"])
@pytest.mark.parametrize("family", [family for family in sorted(EVERY) if family != "switti"])
def test_a_link_that_raises_leaves_nothing_behind(family, stage) -> None:
    """Its own error is what is seen, and the next run, also of a link that weighs the cache, gives the same numbers."""
    before = plain(family, "softcfg")
    with pytest.raises(Broken, match=stage):
        made(family, (CFG(3.0, "constant"), Failing(stage)))
    assert before.equals(made(family, CHAINS["softcfg"]))
    with pytest.raises(Broken):
        made(family, (CFG(3.0, "constant"), Failing(stage)))
    assert plain(family, "cfg").equals(made(family, CHAINS["cfg"]))
