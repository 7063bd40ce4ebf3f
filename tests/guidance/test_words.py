"""What the words of a guidance node promise holds: the value said to switch it off does, and no letter goes unexplained."""

import re
from dataclasses import fields

import pytest
import torch
from ar_guidance.guidance.base import Guidance, RunInfo, settings
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.registry import METHODS
from ar_guidance.tools.notation import printed

RUN = RunInfo("scale", ((1, 1), (2, 2), (3, 4)), mixable=8)
OFF = re.compile(r"(-?\d+) = (?:off|no guidance)\b")
ALONE = {"mixed": {"igg_scale": 0.0}}  # what else the words say must be zero
Method = type[Guidance]


def does_nothing(guidance: Guidance) -> bool:
    """Whether a run with this link alone is one without guidance."""
    generator, chain = torch.Generator().manual_seed(0), Chain((guidance,))
    if any(chain.mixes(RUN)):
        return False
    going, wanted = chain.begin(RUN), chain.needs_uncond(RUN)
    for k, (h, w) in enumerate(RUN.grids):
        cond, uncond = torch.randn(2, 2, h * w, 9, generator=generator)
        if not torch.equal(going.apply(k, cond, uncond if wanted[k] else None), cond):
            return False
    return True


def strength(method: Method) -> tuple[str, str]:
    """The setting that says how strongly the method acts, its first, and its tooltip."""
    first = settings(method)[0]
    return first.name, first.metadata["parameter"].tooltip


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_the_value_that_is_said_to_be_off_is_off_and_one_more_is_not(method: Method) -> None:
    setting, tooltip = strength(method)
    (promised,) = {float(value) for value in OFF.findall(tooltip)}
    for value in (promised, promised + 1):
        settings = {"schedule": "constant", **ALONE.get(method.name, {}), setting: value}
        assert does_nothing(method(**settings)) == (value == promised), (value, tooltip)


def letters(text: str) -> set[str]:
    """The symbols of a formula: single letters, with a prime if there is one."""
    return set(
        re.findall(r"(?<![^\W_])[^\W\d_]′?(?![^\W_])", text.translate({ord(c): " " for c in "ᵀΣ√"}))
    )


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_every_letter_of_a_formula_is_explained_and_none_besides(method: Method) -> None:
    used = letters(printed(method.formula))
    assert len(used) >= 2
    assert used == letters(re.sub(r"'s|\ba ", "", printed(method.symbols)))
    for word in ("prior", "depth"):
        assert (word in method.formula) == (word in re.findall(r"\w+", method.symbols))
    named = set(re.findall(r"`(\w+)`", method.symbols))
    assert named and named <= {field.name for field in fields(method)}  # type: ignore[arg-type]
