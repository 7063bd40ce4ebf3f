#!/usr/bin/env python3
"""What looking costs: the viewer and the live previews over a plain run, in one process, in turns.

    python benchmarks/viewer.py [--repeats 15] [--batch 1]

The bundled model through the pack's loop, with what AR Decode adds: the recorder alone (viewer off), the viewer in mode
'fast' with its payload built and written as JSON, and the same with candidates. Medians of the ratio to the run with the
viewer off that came just before, in CPU time of this process, which other programs disturb less. Live previews are bounded by construction (`PREVIEW_SHARE` in nodes/run.py).
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from pack import load_pack  # noqa: E402

load_pack()

import torch  # noqa: E402
from ar_guidance.guidance.base import Run  # noqa: E402
from ar_guidance.guidance.cfg import CFG  # noqa: E402
from ar_guidance.guidance.chain import Chain  # noqa: E402
from ar_guidance.guidance.record import TraceRecorder  # noqa: E402
from ar_guidance.guidance.schedule import Schedule  # noqa: E402
from ar_guidance.nodes.viewer import Viewer  # noqa: E402
from ar_guidance.sampling.draw import Filters, StreamDrawer, Streams  # noqa: E402
from ar_guidance.sampling.scalewise import ScalewiseRun, generate  # noqa: E402
from ar_guidance.tools.bundled.sample import load_pair  # noqa: E402

CPU = torch.device("cpu")


def seconds(pair: tuple, batch: int, mode: str) -> float:
    """One run from the class to what the node returns."""
    codec, network = pair
    started = time.process_time()
    labels = torch.arange(batch) * 5
    run = Run("scale", network.config.grids, published=Schedule("linear ramp"))
    recorder = TraceRecorder(run.grids)
    viewer = Viewer(recorder, lambda progress: progress.features, candidates=mode == "candidates")
    job = ScalewiseRun(
        conditions=(labels, network.null_condition(batch)),
        batch=batch,
        run=run,
        chain=Chain((CFG(4.0),)),
        draw=StreamDrawer(Filters(), Streams(0, batch)),
    )
    on_step = (lambda progress: None) if mode == "off" else viewer
    with torch.inference_mode():
        features = generate(network, codec, job, CPU, on_step, recorder).features
        image = codec.decode(features).movedim(1, -1).mul(0.5).add(0.5).clamp(0, 1).contiguous()
        trace = recorder.finish()
        if mode != "off":
            json.dumps(viewer.payload(image, features, trace))
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--batch", type=int, default=1)
    options = parser.parse_args()
    pair = load_pair(ROOT / "bundled")
    seconds(pair, options.batch, "candidates")  # warm up
    ratios: dict[str, list[float]] = {"fast": [], "candidates": []}
    for _ in range(options.repeats):
        for mode, values in ratios.items():
            plain = seconds(pair, options.batch, "off")
            values.append(seconds(pair, options.batch, mode) / plain)
    for mode, values in ratios.items():
        print(
            f"viewer {mode:10}: {statistics.median(values) - 1:+.1%} over off, batch {options.batch}"
        )


if __name__ == "__main__":
    main()
