"""Traces of token-by-token runs: single tokens become rows, rows become one map of the image."""

import json
import math

import pytest
import torch
from ar_guidance.analysis.measure import SHARE, background_of, measure
from ar_guidance.analysis.metrics import background_picks, divergence, evenness
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.record import Trace, TraceRecorder
from ar_guidance.guidance.softcfg import SoftCFG
from ar_guidance.guidance.waiting import SINGLE
from ar_guidance.imaging import report
from ar_guidance.imaging.maps import MapStyle, draw_maps, overlay
from ar_guidance.sampling.tokenwise import Progress, generate
from ar_guidance.tests.tiny import CPU
from ar_guidance.tests.tiny_tokens import TOKEN_FAMILIES, TinyTokens
from torch.distributions import Categorical


@pytest.fixture(params=sorted(TOKEN_FAMILIES))
def model(request) -> TinyTokens:
    return TOKEN_FAMILIES[request.param]()


def traced(model: TinyTokens, *guidances) -> tuple[Trace, list[Progress]]:
    """The trace of two images, and every step."""
    recorder = TraceRecorder(model.run.grids, model.network.config.grid)
    steps: list[Progress] = []
    with torch.inference_mode():
        generate(model.network, model.job([1, 2], guidances), CPU, steps.append, recorder)
    return recorder.finish(), steps


def subject() -> torch.Tensor:
    mask = torch.zeros(1, 24, 24, dtype=torch.bool)
    mask[:, 8:, 8:] = True
    return mask


def test_rows_hold_the_tokens_in_raster_order(model) -> None:
    trace, steps = traced(model, SoftCFG(3.0, "constant"))
    height, width = model.network.config.grid
    assert trace.grids == ((1, width),) * height and trace.image_grid == (height, width)
    in_image = steps[len(steps) - height * width :]  # AliTok draws a line of tokens first
    for k, step in enumerate(in_image):
        expected = (step.cond - step.uncond).norm(dim=-1)[:, 0]
        made = trace.maps["nudge"][k // width][:, 0, k % width].float()
        assert torch.allclose(made, expected, rtol=1e-2)
    whole = trace.whole()
    assert whole.grids == ((height, width),) and whole.image_grid is None
    assert torch.equal(whole.maps["nudge"][0][:, :1], trace.maps["nudge"][0])
    assert whole.whole() is whole


def test_numbers_are_means_over_a_row(model) -> None:
    trace, _ = traced(model, CFG(5.0, "linear decay"))
    run, (height, width) = model.run, model.network.config.grid
    guidance = CFG(5.0, "linear decay")
    first = run.count - height * width
    for row, made in enumerate(trace.numbers["cfg scale"]):
        tokens = range(first + row * width, first + (row + 1) * width)
        assert made == pytest.approx(sum(guidance.gamma(k, run) for k in tokens) / width)


def test_tokens_at_which_guidance_was_off_count_as_nothing(model) -> None:
    height, width = model.network.config.grid
    count = model.run.count
    middle = count - (height - 1) * width + 1  # within the second row of the image
    trace, _ = traced(model, CFG(3.0, "constant", start=middle / (count - 1)))
    rows = trace.maps["cfg direction"]
    assert rows[0] is None and trace.numbers["cfg scale"][0] is None
    assert not rows[1][..., 0].any() and rows[1][..., 1:].all()
    assert trace.whole().maps["cfg direction"][0].shape == (2, height, width)


def test_means_are_the_images_and_curves_the_rows(model) -> None:
    trace, _ = traced(model, CFG(3.0, "constant"))
    measured = measure(trace, subject=subject(), seed=2, spread=SHARE)
    image = model.network.config.grid
    norms = trace.whole().maps["nudge"][0].float().flatten(1)
    assert measured.mean("evenness") == pytest.approx(evenness(norms).mean().item(), abs=1e-3)
    background = background_of(subject(), image)[0]
    picks = background_picks(background, 2)
    expected = [divergence(norms[k], picks).item() for k in range(2)]
    assert measured.of_image("divergence", 1) == pytest.approx(expected[1], abs=1e-3)
    assert measured.mean("divergence") == pytest.approx(sum(expected) / 2, abs=1e-3)
    assert len(measured.per_step("evenness")) == image[0]
    for row, value in enumerate(measured.per_step("strength")):
        mean = norms.unflatten(1, image)[:, row].mean().item()
        assert value == pytest.approx(mean, rel=1e-2)
    assert measured.per_step("divergence")[0] is None  # the first row is all background
    assert measured.per_step("divergence")[-1] is not None


def test_one_overlay_per_image_whichever_way(model) -> None:
    trace, _ = traced(model, CFG(3.0, "constant"))
    images = torch.zeros(2, 360, 360, 3)
    style = MapStyle(1.0)
    made = draw_maps(trace, images, "added", style)
    assert len(made) == 2 and torch.equal(made, draw_maps(trace, images, "added", style, True))
    values = trace.whole().maps["added"][0][0].float()
    body = overlay(images[0], values, (values.min().item(), values.max().item()), style)
    head = next(k for k in range(1, 80) if torch.allclose(made[0, k : k + 360], body, atol=0.01))
    assert head > 20  # the two lines of text


def test_report_speaks_of_rows(model) -> None:
    trace, _ = traced(model, CFG(3.0, "constant"))
    measured = measure(trace, subject=subject())
    content = json.loads(report.metrics_json(trace, ("cfg",), measured))
    height, width = model.network.config.grid
    assert [step["grid"] for step in content["steps"]] == [[1, width]] * height
    assert content["evenness"] == pytest.approx(measured.mean("evenness"), abs=1e-5)
    assert report.metrics_plot(measured, trace).shape[0] == 1
    assert "rows of tokens" in repr(trace)


def test_recording_changes_no_token(model) -> None:
    guidances = (SoftCFG(3.0, "constant"),)
    _, steps = traced(model, *guidances)
    assert torch.equal(steps[-1].tokens, model.sample([1, 2], guidances).tokens)


def test_entropies_of_both_sides_are_sampled_every_fourth_token(model) -> None:
    trace, steps = traced(model, CFG(3.0, "constant"))
    measured = measure(trace)
    height, width = model.network.config.grid
    first = len(steps) - height * width
    for row in range(height):
        own = [k for k in range(first + row * width, first + (row + 1) * width) if k % SINGLE == 0]
        for name, of in (
            ("conditional", lambda step: step.cond),
            ("nudge", lambda step: step.cond - step.uncond),
        ):
            made = measured.per_step(name)[row]
            if not own:
                assert made is None
                continue
            logits = torch.stack([of(steps[k])[:, 0] for k in own])
            expected = Categorical(logits=logits).entropy().mean() / math.log(logits.shape[-1])
            assert made == pytest.approx(expected.item(), abs=1e-4)
    assert 0 < measured.mean("nudge") <= 1
    content = json.loads(report.metrics_json(trace, ("cfg",), measured))
    assert content["nudge entropy"] == pytest.approx(measured.mean("nudge"), abs=1e-4)
    assert "conditional entropy" in content["steps"][0]
