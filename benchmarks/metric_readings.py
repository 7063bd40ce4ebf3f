#!/usr/bin/env python3
"""How the IGG paper's evenness and divergence may be meant: seven readings, tried on the bundled model.

    python -m benchmarks.metric_readings [--seeds 6] [--pictures 32] [--check]

The paper (arXiv 2509.23876, Eq. 3 and 4) measures "the guidance distribution" without saying how nudges become one. It does say
how its scores behave: they "improve with increasing w, at a decaying rate" (section 6.3, Fig. 4), and IGG is less even and
more divergent than CFG (Table 1). Each reading below is held against both, for CFG and IGG with the same classes and seeds
at scales 1.25 to 32. The norms of every run are kept in `.bundled-work/readings`, so a stopped run goes on; the numbers go to
docs/data/metric-readings.json and the table of docs/guidance-sweep.md. `--check` only compares the document with the numbers.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ar_guidance.analysis.measure import backgrounds
from ar_guidance.analysis.metrics import background_picks, distribution, js_distance
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.igg import IGG
from ar_guidance.imaging.subject import subject_from_border
from ar_guidance.tools.bundled.seeds import Estimate, estimate
from ar_guidance.tools.pack import ROOT
from torch import Tensor

from .bundled_runs import classes, make, networks

FOLDER = ROOT / ".bundled-work" / "readings"
DATA = ROOT / "docs" / "data" / "metric-readings.json"
DOCUMENT = ROOT / "docs" / "guidance-sweep.md"
METHODS = {"cfg": CFG, "igg": IGG}
SCALES = (1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
SHOWN = (1.25, 8.0)  # ends of the trend in the table
COMPARED = (1.5, 2.0, 3.0)  # scales of IGG less CFG in the table
VOCABULARY = 1024  # V of the bundled model
ADDED, DIRECTION = "added", "dir"

Scores = dict[
    str, Tensor
]  # "evenness" and "divergence" of every image, NaN where it cannot be told


def squares(magnitudes: Tensor, size: float) -> Tensor:
    """Softmax over tokens of the squared norms / size: Eq. 6 on its diagonal, with size = sqrt(V)."""
    return (magnitudes**2 / size).softmax(-1)


READINGS: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "softmax of ‖γD‖/√V": (ADDED, lambda m: distribution(m, VOCABULARY)),
    "softmax of ‖γD‖": (ADDED, lambda m: m.softmax(-1)),
    "softmax of ‖γD‖²/√V": (ADDED, lambda m: squares(m, math.sqrt(VOCABULARY))),
    "softmax of ‖γD‖²/V": (ADDED, lambda m: squares(m, VOCABULARY)),
    "softmax of ‖D‖/√V": (DIRECTION, lambda m: distribution(m, VOCABULARY)),
    "share of ‖γD‖": (ADDED, distribution),
    "share of ‖γD‖²": (ADDED, lambda m: distribution(m**2)),
}


def norms(method: str, scale: float, seed: int, pictures: int, folder: Path) -> dict[str, Any]:
    """Per step k of one run `added{k}` and `dir{k}` (B, N), ‖γD‖ and ‖D‖, and `bg{k}` (B, N): which tokens are background."""
    path = folder / f"{method}~{scale:g}~{seed}~{pictures}.npz"
    if not path.is_file():
        groups = classes(pictures, seed)
        images, trace = make(METHODS[method](scale), groups, seed)
        subject = subject_from_border(images.movedim(1, -1) / 2 + 0.5)
        kept: dict[str, Any] = {}
        for k, background in enumerate(backgrounds(trace, subject)):
            kept[f"bg{k}"] = background.numpy()
            added, direction = trace.maps["added"][k], trace.maps[f"{method} direction"][k]
            if added is not None and direction is not None:
                kept[f"{ADDED}{k}"] = added.flatten(1).half().numpy()
                kept[f"{DIRECTION}{k}"] = direction.flatten(1).half().numpy()
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **kept)
    with np.load(path) as stored:
        return dict(stored)


def scores(run: dict[str, Any], reading: str) -> Scores:
    """Evenness and divergence of every image: means over the steps but the first, weighted by tokens."""
    source, spread = READINGS[reading]
    steps = [k for k in range(1, 99) if f"{source}{k}" in run]
    maps = [torch.from_numpy(run[f"{source}{k}"]).float() for k in steps]
    counts = torch.tensor([m.shape[1] for m in maps], dtype=torch.float32)
    even = torch.stack([torch.special.entr(spread(m)).sum(-1) / math.log(m.shape[1]) for m in maps])
    apart = torch.stack(
        [
            _divergences(m, torch.from_numpy(run[f"bg{k}"]), spread)
            for m, k in zip(maps, steps, strict=True)
        ]
    )
    told = ~apart.isnan() * counts[:, None]
    return {
        "evenness": (even * counts[:, None]).sum(0) / counts.sum(),
        "divergence": (apart.nan_to_num() * told).sum(0) / told.sum(0),
    }


def _divergences(maps: Tensor, background: Tensor, spread: Callable[[Tensor], Tensor]) -> Tensor:
    """Of the images of a step; NaN where one shows only subject or only background."""
    values = torch.full((len(maps),), math.nan)
    for place, (one, behind) in enumerate(zip(maps, background, strict=True)):
        if behind.any() and not behind.all():
            picks = background_picks(behind, 0)
            values[place] = js_distance(spread(one), spread(one[picks]))
    return values


def table(
    seeds: int, pictures: int, scales: tuple[float, ...], folder: Path = FOLDER
) -> dict[str, Any]:
    """reading -> score -> {"cfg": mean per scale, "igg": alike, "igg - cfg": [mean, half of a 95 % interval] per scale}."""
    found: dict[str, Any] = {}
    runs = {
        (method, scale): [norms(method, scale, seed, pictures, folder) for seed in range(seeds)]
        for method in METHODS
        for scale in scales
    }
    for reading in READINGS:
        by_run = {place: [scores(run, reading) for run in parts] for place, parts in runs.items()}
        found[reading] = {}
        for name in ("evenness", "divergence"):
            values = {p: torch.cat([part[name] for part in parts]) for p, parts in by_run.items()}
            rows: dict[str, list[Any]] = {
                m: [round(float(values[m, s].nanmean()), 5) for s in scales] for m in METHODS
            }
            less = [_difference(values["igg", s] - values["cfg", s]) for s in scales]
            rows["igg - cfg"] = [[round(e.mean, 5), round(e.half, 5)] for e in less]
            found[reading][name] = rows
    return found


def _difference(values: Tensor) -> Estimate:
    return estimate(values[~values.isnan()].double().tolist())


def document(stored: dict[str, Any]) -> str:
    """The table of the document."""
    scales = stored["scales"]
    first, last = (scales.index(s) for s in SHOWN)
    head = f"CFG, scale {SHOWN[0]:g} → {SHOWN[1]:g}"
    lines = [
        f"| distribution over tokens | evenness, {head} | divergence, {head} | IGG − CFG at {', '.join(f'{s:g}' for s in COMPARED)}:"
        " evenness × 1000 | divergence × 1000 |",
        "|---|---|---|---|---|",
    ]
    for reading, rows in stored["readings"].items():
        cells = [reading]
        for name in ("evenness", "divergence"):
            cells.append(f"{rows[name]['cfg'][first]:.3f} → {rows[name]['cfg'][last]:.3f}")
        for name in ("evenness", "divergence"):
            parts = [rows[name]["igg - cfg"][scales.index(s)] for s in COMPARED]
            cells.append(", ".join(_thousandths(Estimate(*part)) for part in parts))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _thousandths(value: Estimate) -> str:
    text = f"{1000 * value.mean:+.1f} ± {1000 * value.half:.1f}"
    return f"**{text}**" if value.differs else text


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--pictures", type=int, default=32, help="per setting and seed")
    parser.add_argument(
        "--check",
        action="store_true",
        help="make nothing; is the document's table that of the numbers?",
    )
    given = parser.parse_args()
    if not given.check:
        networks()
        content = {"seeds": given.seeds, "pictures": given.pictures, "scales": list(SCALES)}
        content["readings"] = table(given.seeds, given.pictures, SCALES)
        DATA.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    text = DOCUMENT.read_text(encoding="utf-8")
    start, end = "<!-- table: readings -->\n\n", "\n\n<!-- end -->"
    before, rest = text.split(start)
    after = rest[rest.index(end) :]
    made = before + start + document(json.loads(DATA.read_text(encoding="utf-8"))) + after
    if given.check:
        return int(made != text)
    DOCUMENT.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
