#!/usr/bin/env python3
"""What looking costs: recorder, viewer and live previews over a run that nobody watches, in one process, in turns.

    python -m benchmarks.viewer [--repeats 15] [--batch 1] [--only fast --only live]

The bundled model through the pack's loop, with what AR Decode adds:

    off         the recorder alone, which fills AR_TRACE
    previews    the recorder and live previews
    fast, candidates, decoded
                the viewer in that mode, its payload written as JSON
    live        the viewer in mode 'fast', live previews and live maps: all there is by default

Medians of the ratio to the run without any of them that came just before, in CPU time of this process, which other programs
disturb less. A run of a tenth of a second is too short for previews; with --batch 30 it is long enough.
"""

import argparse
import io
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.record import NULL_RECORDER, TraceRecorder
from ar_guidance.guidance.schedule import Schedule
from ar_guidance.imaging.preview_budget import (
    ALONE,
    BESIDE_VIEWER,
    Budget,
    expected_seconds,
    remember,
)
from ar_guidance.imaging.viewer import Viewer
from ar_guidance.sampling.draw import Filters, Streams, StreamSampler
from ar_guidance.sampling.scalewise import ScalewiseJob, generate
from ar_guidance.tools.bundled.sample import load_pair
from ar_guidance.tools.pack import ROOT
from PIL import Image
from torch import Tensor

CPU = torch.device("cpu")
NONE, OFF = "none", "off"
VIEWERS = ("fast", "candidates", "decoded", "live")
MODES = (OFF, "previews", *VIEWERS)
BETWEEN = 0.2  # seconds between two previews, as in nodes/execution/run.py
OnStep = Callable[[Any], None]


def picture(codec: Any, features: Tensor) -> Tensor:
    """Feature maps -> IMAGE (B, H, W, 3)."""
    return codec.decode(features).movedim(1, -1).mul(0.5).add(0.5).clamp(0, 1).contiguous()


def previews(codec: Any, viewer: Viewer | None) -> OnStep:
    """What Reporter does on the way: a preview where the budget allows, and the viewer's live map."""
    pixels = codec.config.factor**2 * 64
    share = ALONE if viewer is None else BESIDE_VIEWER
    budget = Budget(share, expected_seconds(codec, pixels), time.process_time)
    shown = time.process_time()

    def on_step(progress: Any) -> None:
        nonlocal shown
        budget.start()
        if time.process_time() - shown < BETWEEN:
            return
        shown = time.process_time()
        if budget.affords_preview():
            with budget.previewing():
                pixels = (picture(codec, progress.features[:1])[0] * 255).round().byte().numpy()
                Image.fromarray(pixels).resize((256, 256)).save(io.BytesIO(), "jpeg")
        if viewer is not None:
            with budget.spending():
                viewer.live(progress)

    return on_step


def watching(codec: Any, mode: str, recorder: TraceRecorder) -> tuple[Viewer | None, OnStep]:
    """The viewer of a run in this mode, and what is called after every step."""
    if mode == OFF:
        return None, lambda progress: None
    if mode == "previews":
        return None, previews(codec, None)
    viewer = Viewer(
        recorder,
        lambda progress: progress.features,
        decode=(lambda features: picture(codec, features)) if mode == "decoded" else None,
        candidates=mode == "candidates",
        send=json.dumps if mode == "live" else None,  # type: ignore[arg-type]
    )
    if mode != "live":
        return viewer, viewer
    shown = previews(codec, viewer)
    return viewer, lambda progress: (viewer(progress), shown(progress))  # type: ignore[return-value]


def seconds(pair: tuple, batch: int, mode: str) -> float:
    """One run from the class to what the node returns."""
    codec, network = pair
    started = time.process_time()
    run = RunInfo("scale", network.config.grids, published=Schedule("linear ramp"))
    recorder = TraceRecorder(run.grids)
    viewer, on_step = watching(codec, OFF if mode == NONE else mode, recorder)
    job = ScalewiseJob(
        conditions=(torch.arange(batch) * 5, network.null_condition(batch)),
        batch=batch,
        run=run,
        chain=Chain((CFG(4.0),)),
        draw=StreamSampler(Filters(), Streams(0, batch)),
    )
    with torch.inference_mode():
        listener = NULL_RECORDER if mode == NONE else recorder
        features = generate(network, codec, job, CPU, on_step, listener).features
        before = time.process_time()
        image = picture(codec, features)
        remember(codec, time.process_time() - before, image[..., 0].numel())
        if mode != NONE:
            trace = recorder.finish()
            if viewer is not None:
                json.dumps(viewer.payload(image, features, trace))
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--only", action="append", choices=MODES, help="measure these only")
    options = parser.parse_args()
    pair = load_pair(ROOT / "bundled")
    seconds(pair, options.batch, "candidates")  # warm up
    ratios: dict[str, list[float]] = {mode: [] for mode in options.only or MODES}
    unwatched: list[float] = []
    for _ in range(options.repeats):
        for mode, values in ratios.items():
            unwatched.append(seconds(pair, options.batch, NONE))
            values.append(seconds(pair, options.batch, mode) / unwatched[-1])
    print(f"{NONE:10}: {statistics.median(unwatched):.3f} s, batch {options.batch}")
    for mode, values in ratios.items():
        print(f"{mode:10}: {statistics.median(values) - 1:+.1%}, batch {options.batch}")


if __name__ == "__main__":
    main()
