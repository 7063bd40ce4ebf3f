"""AR Guidance Map offers every map that a chain records."""

import pytest
import torch
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.hidden_cfg import HiddenCFG
from ar_guidance.guidance.mixed import Mixed
from ar_guidance.guidance.record import Trace, TraceRecorder, numbered
from ar_guidance.guidance.registry import METHODS
from ar_guidance.guidance.softcfg import SoftCFG
from ar_guidance.imaging.map_names import MAPS, MOST, unnumbered
from ar_guidance.imaging.maps import recorded

RUN = RunInfo("scale", ((1, 1), (2, 2)), mixable=8)


def names_of(*links) -> set[str]:
    """Names of the maps a chain records."""
    recorder = TraceRecorder(RUN.grids)
    going = Chain(links).begin(RUN, recorder)
    for k, (h, w) in enumerate(RUN.grids):
        cond, uncond = torch.randn(2, 1, h * w, 5, generator=torch.Generator().manual_seed(k))
        going.apply(k, cond, uncond)
    return set(recorder.finish().maps)


def test_every_map_of_every_method_is_offered_and_nothing_else() -> None:
    once = (SoftCFG, HiddenCFG)  # a chain takes one of each
    again = [method for method in METHODS.values() if method not in once]
    made = names_of(*(method() for method in METHODS.values()))
    for method in again:
        made |= names_of(*[method()] * MOST)
    assert made == set(MAPS) and len(MAPS) == len(set(MAPS))


def test_the_mix_counts_as_both() -> None:
    assert {"attention 3", "igg 3 direction", "cfg 3 direction"} <= names_of(*[Mixed()] * 3)


@pytest.mark.parametrize("number", [1, 2, 3, 12])
@pytest.mark.parametrize("name", ["attention", "igg direction"])
def test_numbers_come_off_as_they_were_put_on(name, number) -> None:
    assert unnumbered(numbered(name, {name.split()[0]: number})) == (name, number)


def test_a_missing_map_says_how_many_nodes_it_needs() -> None:
    trace = Trace(((1, 1),), {"added": [torch.ones(1, 1, 1)]}, {}, 1)
    with pytest.raises(ValueError, match="needs 3 guidance nodes of the kind that gives 'igg dir"):
        recorded(trace, "igg 3 direction")
