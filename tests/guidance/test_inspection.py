"""Measuring a run."""

import math

import pytest
import torch
from ar_guidance.analysis.measure import SHARE, background_of, check_subject, measure
from ar_guidance.analysis.metrics import background_picks, divergence, evenness
from ar_guidance.guidance import record
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.head import CATEGORICAL
from ar_guidance.guidance.igg import IGG
from ar_guidance.guidance.mixed import Mixed
from ar_guidance.guidance.record import Trace, TraceRecorder, join_traces, norms
from ar_guidance.guidance.ssg import SSG
from ar_guidance.guidance.waiting import FEW, sampled
from ar_guidance.tests.tiny import tiny_var


def traced(*guidances, labels=(1, 2)):
    model = tiny_var()
    recorder = TraceRecorder(model.run.grids)
    model.sample(list(labels), guidances, recorder=recorder)
    return recorder.finish()


def subject(batch: int = 1) -> torch.Tensor:
    mask = torch.zeros(batch, 16, 16, dtype=torch.bool)
    mask[:, 4:12, 2:10] = True
    return mask


# --- measuring --------------------------------------------------------------------------------------------------------


def test_numbers_are_those_of_the_papers_formulas() -> None:
    trace = traced(CFG(3.0, "constant"))
    measured = measure(trace, subject=subject(), seed=3, spread=SHARE)
    for step, (h, w) in enumerate(trace.grids):
        norms = trace.maps["nudge"][step].float().flatten(1)
        assert measured.per_step("evenness")[step] == pytest.approx(
            evenness(norms).mean().item(), abs=1e-3
        )
        background = background_of(subject(), (h, w))[0]
        if background.any() and not background.all():
            picks = background_picks(background, 3)
            for image in range(2):
                assert measured.divergence[image][step] == pytest.approx(
                    divergence(norms[image], picks).item(), abs=1e-3
                )
    tokens = [h * w for h, w in trace.grids]
    expected = sum(
        e * n for e, n in zip(measured.per_step("evenness")[1:], tokens[1:], strict=True)
    )
    assert measured.mean("evenness") == pytest.approx(expected / sum(tokens[1:]))


def test_scaled_measures_directions_and_raw_what_was_added() -> None:
    rows = {
        "cfg direction": torch.tensor([[[1.0, 1.0], [1.0, 1.0]]]),
        "igg direction": torch.tensor([[[1.0, 0.0], [0.0, 0.0]]]),
        "added": torch.tensor([[[1.0, 1.0], [0.0, 0.0]]]),
    }
    trace = Trace(((1, 1), (2, 2)), {n: [None, m.half()] for n, m in rows.items()}, {}, 1)
    assert measure(trace).mean("evenness") == pytest.approx((1.0 + 0.0) / 2)
    assert measure(trace, scaled=False).mean("evenness") == pytest.approx(0.5)


def test_one_link_measures_the_same_scaled_and_raw_but_for_its_strength() -> None:
    trace = traced(CFG(3.0, "constant"))
    scaled, raw = (measure(trace, s, subject(), spread=SHARE) for s in (True, False))
    for name in ("evenness", "divergence"):
        assert scaled.mean(name) == pytest.approx(raw.mean(name), abs=1e-3)
    assert scaled.mean("strength") * 3 == pytest.approx(raw.mean("strength"), rel=1e-2)


def test_the_mix_records_what_the_chain_records() -> None:
    mixed = traced(Mixed(1.4, "constant", igg_scale=-0.4))
    chain = traced(CFG(1.4, "constant"), IGG(-0.4, "constant"))
    assert set(mixed.maps) == set(chain.maps) and set(mixed.numbers) == set(chain.numbers)
    for name, rows in chain.maps.items():
        for one, other in zip(rows, mixed.maps[name], strict=True):
            assert torch.allclose(one.float(), other.float(), atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize(
    "guidances",
    [
        (CFG(3.0, "constant"),),
        (CFG(-0.5, "constant"),),
        (CFG(3.0, "constant"), SSG()),
        (SSG(), CFG(3.0, "constant")),
        (CFG(3.0, "constant"), CFG(2.0, "constant")),
        (Mixed(1.4, "constant", igg_scale=-0.4),),
        (IGG(2.0, "constant"),),
    ],
    ids=lambda guidances: "+".join(guidance.name for guidance in guidances),
)
def test_maps_are_norms_of_what_they_are_called(guidances) -> None:
    """However few of them are worked out: a CFG alone adds gamma G, whose length needs no second pass."""
    generator = torch.Generator().manual_seed(0)
    recorder = TraceRecorder(((2, 2), (3, 3)))
    going, made = Chain(guidances).begin(RunInfo("scale", recorder.grids), recorder), []
    for step, tokens in enumerate((4, 9)):
        cond, uncond = torch.randn(2, 2, tokens, 50, generator=generator)
        guided = going.apply(step, cond, uncond)
        made.append((cond, uncond, guided, CATEGORICAL))
    maps = recorder.finish().maps
    for step, (cond, uncond, guided, head) in enumerate(made):
        defined = {"nudge": (cond - uncond).norm(dim=-1), "added": (guided - uncond).norm(dim=-1)}
        defined |= {"confidence": head.confidence(cond), "entropy": head.entropy(guided)}
        if any(guidance.name == "cfg" for guidance in guidances[:1]):
            defined["cfg direction"] = defined["nudge"]
        for name, values in defined.items():
            found = maps[name][step]
            assert found is not None
            torch.testing.assert_close(found.flatten(1).float(), values, atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("few", [0, FEW])
def test_steps_measured_together_have_the_maps_of_each(
    few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And are copies of what a network may write over: its logits, also where nothing guides them."""
    monkeypatch.setattr(record, "FEW", few)
    logits = torch.randn(2, 2, 4, 50, generator=torch.Generator().manual_seed(0))
    recorder = TraceRecorder(((1, 1), (1, 3), (2, 2)))
    late = Chain((CFG(3.0, "constant", start=0.4),))
    going = late.begin(RunInfo("scale", recorder.grids), recorder)
    expected = []
    for step, tokens in enumerate((1, 3, 4)):
        cond, uncond = (branch[:, :tokens].clone() for branch in logits)
        guided = going.apply(step, cond, uncond)
        assert (guided is cond) == (step == 0)
        expected.append(CATEGORICAL.entropy(guided))
        for tensor in (cond, uncond):
            tensor.fill_(float("nan"))
    assert bool(recorder.waiting) == bool(few)
    for found, values in zip(recorder.finish().maps["entropy"], expected, strict=True):
        assert found is not None and found.shape[1] * found.shape[2] == values.shape[1]
        torch.testing.assert_close(found.flatten(1).float(), values, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("few", [0, FEW])
def test_directions_come_first_among_the_maps(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the links, whichever of them are measured with others: the viewer lists them so."""
    monkeypatch.setattr(record, "FEW", few)
    recorder = TraceRecorder(((2, 2), (3, 3)))
    links = (CFG(3.0, "constant"), IGG(2.0, "constant"), CFG(2.0, "constant"))
    going = Chain(links).begin(RunInfo("scale", recorder.grids), recorder)
    for step, tokens in enumerate((4, 9)):
        going.apply(step, *torch.randn(2, 1, tokens, 50))
    directions = ["cfg direction", "attention", "igg direction", "cfg 2 direction"]
    assert list(recorder.finish().maps) == [*directions, "nudge", "added", "confidence", "entropy"]


def test_rounding_apart_is_no_change() -> None:
    """Of branches with the same condition: some processors round the rows of a batch apart."""
    logits = torch.randn(2, 5, 40, generator=torch.Generator().manual_seed(0)) * 7
    beside = logits.norm(dim=-1)
    assert not norms(logits * 1e-6, beside).any()
    assert torch.equal(norms(logits * 1e-3, beside), (logits * 1e-3).norm(dim=-1))
    recorder = TraceRecorder(((1, 1), (1, 5)))
    going = Chain((CFG(4.0, "constant"),)).begin(RunInfo("scale", recorder.grids), recorder)
    for k, tokens in enumerate((1, 5)):
        cond = logits[:, :tokens]
        going.apply(k, cond, cond * (1 + 2e-7))
    assert not any(row.any() for name in ("nudge", "added") for row in recorder.finish().maps[name])


@pytest.mark.parametrize("largest", [1.0, 1e6])
def test_numbers_no_half_can_hold_measure_as_they_are(largest) -> None:
    """Norms over a large vocabulary pass 65504; cut off there they would all look alike."""
    recorder, values = TraceRecorder(((2, 2),)), torch.tensor([[0.1, 0.2, 0.3, 1.0]]) * largest
    recorder.add("added", 0, lambda: values)
    measured = measure(recorder.finish())
    assert measured.evenness[0][0] == pytest.approx(evenness(values)[0].item(), abs=1e-3)
    assert measured.strength[0][0] == pytest.approx(0.4 * largest, rel=1e-3)


def test_steps_without_guidance_measure_as_nothing() -> None:
    none = measure(traced(), subject=subject())
    assert none.mean("evenness") is None and none.mean("divergence") is None
    assert 0 < none.mean("entropy") <= 1  # the model is as sure as it is, guided or not
    ramp = measure(traced(CFG(3.0)))  # a ramp leaves the first scale alone
    assert ramp.per_step("evenness")[0] is None and ramp.per_step("evenness")[1] is not None
    refined = measure(traced(SSG(1.0)))
    assert refined.mean("evenness") is not None


def test_no_class_against_no_class_is_perfectly_even() -> None:
    model = tiny_var()
    null = model.network.config.classes
    measured = measure(traced(CFG(3.0, "constant"), labels=(1, null)), subject=subject(2))
    assert measured.of_image("evenness", 1) == pytest.approx(1.0)
    assert not any(math.isnan(v) for row in measured.divergence for v in row if v is not None)


def test_masks_of_any_size_and_too_small_ones() -> None:
    trace = traced(CFG(3.0, "constant"))
    large = subject().repeat_interleave(4, 1).repeat_interleave(4, 2)
    assert measure(trace, subject=large).divergence == measure(trace, subject=subject()).divergence
    speck = torch.zeros(1, 64, 64, dtype=torch.bool)
    speck[0, 0, 0] = True
    assert measure(trace, subject=speck).mean("divergence") is None
    for bad in (torch.zeros(1, 4, 4), torch.ones(1, 4, 4)):
        with pytest.raises(ValueError, match="paint the subject"):
            check_subject(bad > 0)


def test_entropies_of_both_sides_of_a_scale_wise_run() -> None:
    guided, plain = measure(traced(CFG(3.0, "constant"))), measure(traced())
    assert plain.conditional == () and plain.nudge == ()  # no second branch, no nudge
    for name in ("conditional", "nudge"):
        assert all(value is not None and 0 < value <= 1 for value in guided.per_step(name))
    assert guided.per_step("conditional") != guided.per_step("nudge")
    same = measure(traced(CFG(3.0, "constant"), labels=(1,)))
    assert len(same.nudge) == 1 and len(guided.nudge) == 2


def test_few_tokens_of_a_large_step_are_sampled() -> None:
    assert len(range(4096)[sampled(3, 4096)]) == 8 and range(5)[sampled(3, 5)] == range(5)
    assert [sampled(k, 1) is None for k in range(5)] == [False, True, True, True, False]


def test_sampled_numbers_of_the_parts_of_a_batch_are_joined() -> None:
    parts = [traced(CFG(3.0, "constant"), labels=(label,)) for label in (1, 2)]
    joined = join_traces(parts)
    for step, values in enumerate(joined.samples["nudge entropy"]):
        assert torch.equal(values, torch.cat([p.samples["nudge entropy"][step] for p in parts]))


@pytest.mark.parametrize("few", [0, FEW])
def test_a_sampled_number_is_the_mean_over_its_tokens(
    few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every step and image, whether steps are measured one by one or together."""
    monkeypatch.setattr(record, "FEW", few)
    grids = ((1, 1), (1, 3), (4, 5), (1, 1), (1, 1), (3, 3))
    recorder, generator = TraceRecorder(grids), torch.Generator().manual_seed(0)
    going = Chain((CFG(3.0, "constant"),)).begin(RunInfo("scale", grids), recorder)
    expected: dict[str, list[torch.Tensor | None]] = {
        "conditional entropy": [],
        "nudge entropy": [],
    }
    for step, (height, width) in enumerate(grids):
        cond, uncond = torch.randn(2, 2, height * width, 50, generator=generator) * 3
        going.apply(step, cond, uncond)
        some = sampled(step, height * width)
        for name, logits in zip(expected, (cond, cond - uncond), strict=True):
            one = None if some is None else CATEGORICAL.entropy(logits[:, some]).mean(1)
            expected[name].append(one)
    samples = recorder.finish().samples
    for name, steps in expected.items():
        for found, wanted in zip(samples[name], steps, strict=True):
            assert (found is None) == (wanted is None)
            if found is not None:
                torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)
