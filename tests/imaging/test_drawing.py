"""Drawings: colours, overlays, plots, and what is told as a subject."""

import json
from dataclasses import replace

import pytest
import torch
from ar_guidance.analysis.crossing import Probe, search
from ar_guidance.analysis.measure import measure
from ar_guidance.analysis.metrics import evenness
from ar_guidance.guidance.record import Trace
from ar_guidance.imaging import report
from ar_guidance.imaging.canvas import COLOUR_MAPS, colour_table, colourise, number, to_pil
from ar_guidance.imaging.maps import MapStyle, draw_maps, enlarge, limits_of, overlay, panels_of
from ar_guidance.imaging.plot import SHADE, SIZE, Plot, Series, draw_plot, reach, span, ticks
from ar_guidance.imaging.subject import subject_from_border
from hypothesis import given, settings
from hypothesis import strategies as st

GRIDS = ((1, 1), (2, 2), (3, 4))


def trace(batch: int = 2, **missing: list[int]) -> Trace:
    """Random maps of a run; `missing` names the steps at which a map was not recorded."""
    generator = torch.Generator().manual_seed(0)
    names = ("nudge", "added", "entropy", "cfg direction")
    maps = {
        name.replace("_", " "): [
            None
            if step in missing.get(name.replace(" ", "_"), [])
            else torch.rand(batch, *grid, generator=generator).half()
            for step, grid in enumerate(GRIDS)
        ]
        for name in names
    }
    return Trace(GRIDS, maps, {"cfg scale": [1.0, 2.0, 3.0]}, batch)


# --- colours ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COLOUR_MAPS)
def test_ends_and_luminance_of_a_colour_map(name) -> None:
    ends = colourise(torch.tensor([-1.0, 0.0, 1.0, 2.0]), name)
    table = colour_table(name)
    assert torch.equal(ends, table[[0, 0, -1, -1]])
    ramp = colourise(torch.linspace(0, 1, 100), name)
    assert ramp.min() >= 0 and ramp.max() <= 1
    luminance = ramp @ torch.tensor([0.2126, 0.7152, 0.0722])
    assert (luminance.diff() > 0).all()  # larger is brighter: readable in grey


def test_published_ends_of_viridis() -> None:
    ends = (colourise(torch.tensor([0.0, 1.0]), "viridis") * 255).round().int().tolist()
    assert ends == [[0x44, 0x01, 0x54], [0xFD, 0xE7, 0x25]]


def test_unknown_colour_map() -> None:
    with pytest.raises(ValueError, match="viridis, magma"):
        colour_table("jet")


# --- overlays ---------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.floats(0, 1), st.integers(0, 9))
def test_overlay_stays_an_image_and_opacity_has_its_ends(opacity, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(12, 9, 3, generator=generator)
    values = torch.rand(3, 4, generator=generator)
    limits = limits_of([values])
    made = overlay(image, values, limits, MapStyle(opacity))
    assert made.shape == image.shape and made.min() >= 0 and made.max() <= 1
    assert torch.equal(overlay(image, values, limits, MapStyle(0.0)), image)
    only_map = overlay(image, values, limits, MapStyle(1.0))
    assert torch.equal(only_map, overlay(1 - image, values, limits, MapStyle(1.0)))


def test_every_token_becomes_a_block_of_its_colour() -> None:
    values = torch.tensor([[0.0, 1.0], [0.5, 0.25]])
    made = overlay(torch.zeros(8, 8, 3), values, (0.0, 1.0), MapStyle(1.0))
    assert torch.allclose(made[:4, 4:], colourise(torch.ones(4, 4), "viridis"))
    assert torch.allclose(made[4:, :4], colourise(torch.full((4, 4), 0.5), "viridis"))
    assert torch.equal(enlarge(values, (8, 8))[::4, ::4], values)


@pytest.mark.parametrize("size", [(16, 16), (64, 64), (40, 96), (512, 384)])
def test_one_drawing_per_scale_and_image(size) -> None:
    images = torch.rand(2, *size, 3)
    made = draw_maps(trace(), images, "added", MapStyle())
    assert made.shape[0] == 2 * len(GRIDS) and made.shape[3] == 3
    assert made.shape[2] >= 256 and made.shape[2] % size[1] == 0
    assert made.min() >= 0 and made.max() <= 1 and made.dtype == torch.float32
    assert draw_maps(trace(), images, "added", MapStyle(), combined=True).shape[0] == 2


def test_every_scale_says_its_weight_evenness_and_divergence() -> None:
    """As in Fig. 1 and 2 of the IGG paper; the weights are those of the mean over the run."""
    half = torch.zeros(1, 16, 16, dtype=torch.bool)
    half[:, :, :8] = True
    run = replace(trace(1), vocabulary=64)
    panels = panels_of(run, torch.zeros(1, 16, 16, 3), "added", MapStyle(), subject=half)
    counts = [h * w for h, w in GRIDS]
    for step, (panel, count) in enumerate(zip(panels, counts, strict=True)):
        share = 0.0 if step == 0 else count / sum(counts[1:])
        assert f"weight {share:.0%}" in panel.lines[0]
        values = run.maps["added"][step].float().flatten()
        even = evenness(values, 64).item()
        assert f"evenness {even:.3f}" in panel.lines[1]
        assert ("divergence" in panel.lines[1]) == (step > 0)  # one token cannot show both
    plain = panels_of(run, torch.zeros(1, 16, 16, 3), "added", MapStyle())
    assert not any("divergence" in panel.lines[1] for panel in plain)
    (mean,) = panels_of(run, torch.zeros(1, 16, 16, 3), "added", MapStyle(), True, half)
    assert "divergence" in mean.lines[1] and "all scales" in mean.lines[0]
    sure = replace(run, maps={"confidence": run.maps["added"]})
    (_, *rest) = panels_of(sure, torch.zeros(1, 16, 16, 3), "confidence", MapStyle())
    shares = evenness(run.maps["added"][1].float().flatten()).item()
    assert f"evenness {shares:.3f}" in rest[0].lines[1]


def test_opacity_zero_leaves_the_image_as_it_is() -> None:
    images = torch.rand(1, 320, 320, 3, generator=torch.Generator().manual_seed(1))
    made = draw_maps(trace(1), images, "added", MapStyle(0.0))[0]
    top = round(2.9 * 15)
    assert torch.equal(
        torch.tensor(list(to_pil(made[top : top + 320]).tobytes())),
        torch.tensor(list(to_pil(images[0]).tobytes())),
    )


def test_shared_range_makes_equal_values_equal_colours() -> None:
    maps = {"added": [torch.full((1, *g), float(k + 1)) for k, g in enumerate(GRIDS)]}
    images, run = torch.zeros(1, 320, 320, 3), Trace(GRIDS, maps, {}, 1)
    own = draw_maps(run, images, "added", MapStyle(1.0))
    shared = draw_maps(run, images, "added", MapStyle(1.0, shared=True))
    middle = (slice(None), 200, 160)
    assert torch.equal(own[middle][0], own[middle][2])
    assert not torch.equal(shared[middle][0], shared[middle][2])


def test_a_step_without_the_map_shows_the_image() -> None:
    images = torch.full((1, 320, 320, 3), 0.25)
    made = draw_maps(trace(1, nudge=[0]), images, "nudge", MapStyle(1.0))
    assert torch.allclose(made[0, 200, 160], torch.full((3,), 64 / 255))
    assert not torch.allclose(made[1, 200, 160], made[0, 200, 160])
    assert len(draw_maps(trace(1, nudge=[0, 1]), images, "nudge", MapStyle(), True)) == 1


def test_a_map_that_was_not_recorded() -> None:
    with pytest.raises(ValueError, match="no 'attention'.*IGG.*Choose one of: nudge, added"):
        draw_maps(trace(), torch.zeros(2, 8, 8, 3), "attention", MapStyle())
    with pytest.raises(ValueError, match="no 'nudge'"):
        draw_maps(trace(nudge=[0, 1, 2]), torch.zeros(2, 8, 8, 3), "nudge", MapStyle())
    zeros = Trace(GRIDS, {"added": [torch.zeros(1, *grid) for grid in GRIDS]}, {}, 1)
    with pytest.raises(ValueError, match="a scale that is not 1"):
        draw_maps(zeros, torch.zeros(1, 8, 8, 3), "added", MapStyle())


def test_limits() -> None:
    assert limits_of([torch.tensor([2.0, 5.0]), None]) == (2.0, 5.0)
    assert limits_of([torch.tensor([3.0])]) == (0.0, 3.0)
    assert limits_of([torch.zeros(2)]) == (0.0, 1.0)
    assert limits_of([None]) == (0.0, 1.0)


# --- plots ------------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.floats(-1e4, 1e4), st.floats(1e-3, 1e4))
def test_ticks_are_round_inside_and_not_too_many(low, width) -> None:
    made = ticks(low, low + width)
    assert 2 <= len(made) <= 8 or width / max(abs(low), 1) < 1e-6
    assert all(low - 1e-6 * width <= t <= low + width * (1 + 1e-6) for t in made)


def test_ticks_of_the_unit_interval() -> None:
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(1, 8, 9) == list(range(1, 9))


def test_an_axis_is_never_empty() -> None:
    assert span([]) == (0.0, 1.0) and span([2.0]) == (1.5, 2.5) and span([1, 3]) == (1, 3)


def test_a_plot_shows_every_line_in_its_colour_and_keeps_gaps() -> None:
    red, blue = (200, 0, 0), (0, 0, 200)
    series = [
        Series("a", [0, 1, 2], [0.5, None, 0.5], red),
        Series("b", [0, 1, 2], [0.1, 0.2, 0.9], blue),
    ]
    image = draw_plot(Plot("title", "x", series, (0, 1)))
    assert image.size == SIZE
    pixels = torch.tensor(list(image.tobytes())).view(SIZE[1], SIZE[0], 3)
    below_legend = pixels[100:]
    assert (below_legend == torch.tensor(blue)).all(-1).any()
    is_red = (below_legend == torch.tensor(red)).all(-1)
    assert is_red.any() and not is_red[:, 300:500].any()  # the gap


def test_error_bars_and_bands_reach_as_far_as_they_say() -> None:
    red = (200, 0, 0)
    line = Series("a", [0, 1, 2], [0.5, 0.5, 0.5], red, errors=[0.0, 0.4, 0.0])
    image = draw_plot(Plot("title", "x", [line], (0, 1), band=(1.5, 2.0)))
    pixels = torch.tensor(list(image.tobytes())).view(SIZE[1], SIZE[0], 3)[80:420]
    is_red = (pixels[..., 0] > 150) & (pixels[..., 1] < 130)
    tall = is_red.sum(0)
    assert tall.argmax() == pytest.approx((64 + SIZE[0] - 24) / 2, abs=2)  # at x = 1
    assert tall.max() == pytest.approx(0.8 * (480 - 74 - 58), abs=6)
    shaded = (pixels == torch.tensor(SHADE)).all(-1).any(0).nonzero()
    assert shaded.min() > SIZE[0] * 0.6 and shaded.max() < SIZE[0] - 24
    assert reach(line) == pytest.approx([0.5, 0.5, 0.1, 0.9, 0.5, 0.5])


def test_an_empty_plot() -> None:
    assert draw_plot(Plot("nothing", "x", [Series("a", [1], [None], (0, 0, 0))])).size == SIZE


# --- words ------------------------------------------------------------------------------------------------------------


def test_json_has_every_step_and_image_and_no_nan() -> None:
    subject = torch.zeros(1, 12, 16, dtype=torch.bool)
    subject[:, 4:10, 4:12] = True
    made = json.loads(report.metrics_json(trace(), ("cfg",), measure(trace(), True, subject)))
    assert [step["grid"] for step in made["steps"]] == [list(grid) for grid in GRIDS]
    assert made["steps"][2]["cfg scale"] == 3.0 and made["guidance"] == ["cfg"]
    assert made["steps"][0]["divergence"] is None  # one token cannot show both
    assert len(made["pictures"]) == 2 and 0 < made["divergence"] < 1
    plain = json.loads(report.metrics_json(trace(), (), measure(trace())))
    assert plain["divergence"] is None and "divergence" not in plain["pictures"][0]


def test_images_of_measurements_and_searches() -> None:
    assert report.metrics_plot(measure(trace()), trace()).shape == (1, SIZE[1], SIZE[0], 3)
    for high in (0.9, 0.1):
        found = search(lambda s, h=high: Probe(s, h * s / 8, 0.95), 1, 8, 6)
        assert report.search_plot(found, True).shape == (1, SIZE[1], SIZE[0], 3)
        assert json.loads(report.search_json(found))["crosses"] is False


def test_a_search_says_how_sure_it_is() -> None:
    singles = [(0.9 + 0.001 * k, 0.1) for k in range(8)]

    def probe(scale: float, move: float) -> Probe:
        pairs = tuple((e - 0.1 * scale, d + move * scale) for e, d in singles)
        return Probe(scale, pairs[3][0], pairs[3][1], pairs)

    sure = json.loads(report.search_json(search(lambda s: probe(s, 0.02), 1, 8, 6)))
    assert sure["sure"] and sure["interval"][0] <= sure["scale"] <= sure["interval"][1]
    few = search(lambda s: Probe(s, 9 - s, s, ((9 - s, s),)), 1, 8, 6)
    doubted = json.loads(report.search_json(few))
    assert doubted["crosses"] and not doubted["sure"] and "noise" in doubted["message"]
    shown = [report.search_plot(found, True) for found in (few, replace(few, sure=True))]
    assert not torch.equal(*shown)  # no mark where nothing was found


def test_numbers_are_short() -> None:
    assert [number(x) for x in (0.0, 0.12345, 12.345, 1234.5)] == ["0", "0.123", "12.3", "1234"]


def test_subject_is_what_differs_from_the_border() -> None:
    images = torch.full((2, 20, 20, 3), 0.9)
    images[0, 5:10, 6:12] = torch.tensor([0.9, 0.2, 0.9])
    images[1, 0, 3] = 0.0  # a speck on the border does not become the ground
    found = subject_from_border(images)
    assert found[0].sum() == 30 and found[0, 5:10, 6:12].all()
    assert found[1].sum() == 1
