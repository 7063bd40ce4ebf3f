"""Sheets of all steps: the guidance interval can be told from the drawing, in words and in colours."""

import numpy as np
import torch
from ar_guidance.analysis.measure import measure
from ar_guidance.guidance.record import Trace
from ar_guidance.imaging import report, step_sheet
from ar_guidance.imaging.maps import MapStyle, draw_maps, step_name
from ar_guidance.imaging.plot import BAR
from ar_guidance.imaging.step_sheet import FRAME, ON, draw_sheets, fitted, interval, tile

STEPS = 10
ACTED = [False, False, True, True, True, True, False, False, False, False]


def trace(batch: int = 2) -> Trace:
    generator = torch.Generator().manual_seed(0)
    maps = [torch.rand(batch, 4, 6, generator=generator) if on else None for on in ACTED]
    numbers = {"cfg scale": [2.0 if on else None for on in ACTED]}
    noise = tuple(80.0 / (k + 1) for k in range(STEPS))
    return Trace(((4, 6),) * STEPS, {"nudge": maps, "added": maps}, numbers, batch, noise=noise)


def test_the_interval_in_words() -> None:
    assert interval(ACTED) == "at steps 3 to 6 of 10"
    assert interval([True] * 4) == "at all 4 steps"
    assert interval([True, False, True]) == "at 2 of 3 steps"
    assert trace().acted == {"cfg": tuple(ACTED)}
    assert report.ranges(ACTED) == [(2.5, 6.5)]
    assert report.ranges([True, False, True]) == [(0.5, 1.5), (2.5, 3.5)]


def test_a_guided_step_is_framed_and_another_is_grey() -> None:
    image = torch.rand(40, 60, 3)
    guided = np.asarray(tile(image, torch.rand(4, 6), MapStyle(0.5), None))
    off = np.asarray(tile(image, None, MapStyle(0.5), None))
    assert guided.shape == off.shape == (107 + 2 * FRAME, 160 + 2 * FRAME, 3)
    assert (guided[0, 0] == ON).all() and not (off[0, 0] == ON).all()
    inner = (slice(FRAME, -FRAME),) * 2
    assert (off[inner].max(-1) == off[inner].min(-1)).all()
    assert (guided[inner].max(-1) != guided[inner].min(-1)).mean() > 0.9


def test_a_sheet_has_every_step_of_every_image() -> None:
    made = draw_sheets(trace(), torch.rand(2, 32, 48, 3), "nudge", MapStyle())
    assert made.shape[0] == 2 and made.shape[2] > step_sheet.COLUMNS * step_sheet.TILE
    frames = (made * 255).round().eq(torch.tensor(ON)).all(-1)
    assert frames.any() and not torch.equal(made[0], made[1])


def test_large_and_small_images_fit_a_tile() -> None:
    assert fitted(torch.rand(512, 256, 3)).shape == (160, 80, 3)
    assert fitted(torch.rand(8, 16, 3)).shape == (80, 160, 3)


def test_steps_of_a_diffusion_run_are_named_by_their_noise() -> None:
    assert step_name(trace(), 1) == "step 2 of 10, noise 40"
    plain = Trace(((1, 1), (2, 2)), {}, {}, 1)
    assert step_name(plain, 1) == "scale 2 of 2"
    assert len(draw_maps(trace(), torch.rand(2, 32, 48, 3), "nudge", MapStyle())) == 2 * STEPS


def test_the_plot_has_a_bar_where_guidance_was_on() -> None:
    shown = trace()
    plot = (report.metrics_plot(measure(shown), shown)[0] * 255).round()
    bar = plot.eq(torch.tensor(BAR)).all(-1)
    columns = bar.any(0).nonzero()[:, 0]
    assert len(columns) and 0.25 < (columns[-1] - columns[0]) / plot.shape[1] < 0.5
    without = Trace(shown.grids, shown.maps, shown.numbers, shown.batch)
    assert not (report.metrics_plot(measure(without), without)[0] * 255).round().eq(
        torch.tensor(BAR)
    ).all(-1).any()  # fmt: skip
