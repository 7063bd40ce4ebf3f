"""Where several conditions come down to one, and what is refused of them before the run."""

import pytest
import torch
from ar_guidance.guidance.hidden_cfg import HiddenCFG
from ar_guidance.guidance.softcfg import SoftCFG
from ar_guidance.sampling.regions import Region
from ar_guidance.tests.rounding import holds
from ar_guidance.tests.sampling.test_mixture import (
    ALL,
    GUIDED,
    LEFT,
    equal,
    every,
    job_of,
    mixture,
    pair,
    run,
)


@every
def test_a_region_of_weight_0_is_as_if_absent(family: str) -> None:
    """Also two that overlap to nothing: the background has it all."""
    regions = [Region(LEFT, 0.0), Region(ALL, 0.0)]
    given = mixture(family, [[1, 2], [3, 4], [0, 1]], regions)
    assert job_of(family, given, GUIDED).mixing is None
    alone = run(family, pair(family, [1, 2]))
    assert all(torch.equal(a, b) for a, b in zip(run(family, given), alone, strict=True))


@every
def test_what_lies_over_what_does_not_matter(family: str) -> None:
    """A region over a background is that background, as the region's complement, over the region's condition."""

    def law(seed: int) -> bool:
        one = mixture(family, [[1, 2], [3, 4]], [Region(LEFT)])
        other = mixture(family, [[3, 4], [1, 2]], [Region(1 - LEFT)])
        return equal(run(family, one, seed=seed), run(family, other, seed=seed))

    assert holds(law)


def test_softcfg_is_refused_where_nothing_is_remembered() -> None:
    given = mixture("switti", [[1, 2], [3, 4]], [Region(LEFT)])
    with pytest.raises(ValueError, match="keeps none between its scales"):
        job_of("switti", given, (SoftCFG(3.0, "constant"),))


def test_guidance_inside_the_network_is_refused() -> None:
    given = mixture("infinity", [[1, 2], [3, 4]], [Region(LEFT)])
    with pytest.raises(ValueError, match="use AR Guidance: CFG"):
        job_of("infinity", given, (HiddenCFG(2.0, depth=1),))


def test_an_interval_between_two_steps_is_refused() -> None:
    given = mixture("var", [[1, 2], [3, 4]], [Region(LEFT, start=0.4, end=0.5)])
    with pytest.raises(ValueError, match="none of this model's 4 steps"):
        job_of("var", given, ())
