"""Several links of one method in a chain: each keeps maps and numbers of its own."""

import pytest
import torch
from ar_guidance.analysis.measure import measure
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.igg import IGG
from ar_guidance.guidance.mixed import Mixed
from ar_guidance.guidance.record import Trace, TraceRecorder, numbered
from ar_guidance.guidance.ssg import SSG
from ar_guidance.tests.tiny import tiny_var


def traced(*guidances) -> Trace:
    model = tiny_var()
    recorder = TraceRecorder(model.run.grids)
    model.sample([1, 2], guidances, recorder=recorder)
    return recorder.finish()


def test_names_of_a_chain() -> None:
    guidances = (IGG(), CFG(), Mixed(), IGG(2.0), SSG(), IGG())
    assert Chain(guidances).names == ("igg", "cfg", "mixed", "igg 3", "ssg", "igg 4")
    assert Chain((IGG(), IGG())).names == ("igg", "igg 2")
    assert numbered("igg direction", {"igg": 2}) == "igg 2 direction"
    assert numbered("attention", {"attention": 3}) == "attention 3"
    assert numbered("cfg scale", {"igg": 2}) == "cfg scale"


def test_every_link_keeps_its_own_maps_and_numbers() -> None:
    narrow = IGG(1.5, "constant", window="fixed side", window_side=1)
    both = traced(IGG(3.0, "constant"), narrow, CFG(2.0, "constant"))
    assert both.numbers["igg scale"] == [3.0] * 4 and both.numbers["igg 2 scale"] == [1.5] * 4
    wide, own = both.maps["igg direction"][-1], both.maps["igg 2 direction"][-1]
    assert not torch.equal(wide, own)
    # A window of one token is the nudge itself, which is CFG's direction too.
    assert torch.allclose(own.float(), both.maps["cfg direction"][-1].float(), rtol=1e-2)
    assert "attention 2" in both.maps and "cfg 2 direction" not in both.maps


def test_a_link_that_is_off_leaves_its_place_empty() -> None:
    trace = traced(CFG(3.0, "constant", end=0.4), CFG(2.0, "constant"))
    assert trace.numbers["cfg scale"] == [3.0, 3.0, None, None]
    assert trace.numbers["cfg 2 scale"] == [2.0] * 4
    assert trace.maps["cfg direction"][3] is None and trace.maps["cfg 2 direction"][3] is not None


def test_the_mix_counts_as_both_its_methods() -> None:
    trace = traced(Mixed(1.4, "constant", igg_scale=-0.4), CFG(2.0, "constant"), IGG(1.5))
    assert {"cfg direction", "cfg 2 direction", "igg direction", "igg 2 direction"} <= set(
        trace.maps
    )


def test_all_directions_are_measured() -> None:
    one, two = IGG(3.0, "constant"), IGG(2.0, "constant", attention="token weight")
    trace = traced(one, two)
    norms = [trace.maps[name][-1].float() for name in ("igg direction", "igg 2 direction")]
    mean = sum(n.mean().item() for n in norms) / 2
    assert measure(trace).per_step("strength")[-1] == pytest.approx(mean, rel=1e-3)
