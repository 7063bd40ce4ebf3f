#!/usr/bin/env python3
"""How visible the seams of in- and out-painting are on the bundled model.

    python -m benchmarks.seams [--pictures 128] [--seeds 5] [--sheet seams.png]

Gradient energy across the mask's edge in edited images, as a multiple of that of the same images before: 1 = no seam,
below 1 = smoother than the images are. The bar is 1.2. Out-painting begins with a part cut out of the images, whose true
surroundings are known for that reason; `as filled` is what it starts from, before anything is drawn. Each number is the mean over the seeds and, after it, half the width of
its 95 % interval.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

import torch
from ar_guidance.tools.bundled.sample import load_pair
from ar_guidance.tools.bundled.seams import (
    How,
    Sources,
    extended,
    frames,
    masks,
    painted,
    seam,
)
from PIL import Image

BUNDLED = Path(__file__).resolve().parents[1] / "bundled"
WAYS = {
    "tokens only": How(0, blend=False, keep_outside=False),
    "tokens only, outside kept": How(0, blend=False),
    "blended, hard edge, outside kept": How(0),
    "blended, 4 px, outside kept": How(4),
    "blended, 8 px, outside kept (default)": How(),
    "blended, 8 px": How(keep_outside=False),
    "blended, 16 px, outside kept": How(16),
}
T_95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36}  # of Student's t


def spread(values: list[float]) -> str:
    """Mean and half the width of its 95 % interval."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return f"{mean:.2f}"
    half = T_95.get(len(values), 2.0) * statistics.stdev(values) / len(values) ** 0.5
    return f"{mean:.2f} ±{half:.2f}"


def sheet(rows: list[torch.Tensor], path: str) -> None:
    """Rows of images (B, H, W, 3) as one image, three times as large."""
    whole = torch.cat([torch.cat(list(row), dim=1) for row in rows], dim=0)
    picture = Image.fromarray((whole.clamp(0, 1) * 255).byte().numpy())
    picture.resize((picture.width * 3, picture.height * 3), Image.Resampling.NEAREST).save(path)


def outpainting(pair: Any, sources: list[Sources], path: str) -> None:
    """The table of out-painting at the default settings; `path`: also draw eight images of every frame."""
    shapes, rows = frames(), [sources[0].pixels[:8]]
    print("\n| out-painting | " + " | ".join(shapes) + " |\n|---|" + "---|" * len(shapes))
    for name in ("same class", "another class", "as filled"):
        cells = []
        for mask in shapes.values():
            values = []
            for seed, source in enumerate(sources):
                same = name == "same class"
                new, start = extended(pair, source, mask, How(), same, 1000 + seed)
                shown = start if name == "as filled" else new
                values.append(seam(shown, source.pixels, mask))
                if seed == 0:
                    rows.append(shown[:8])
            cells.append(spread(values))
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    if path:
        sheet(rows, path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sheet", default="", help="also draw eight images of every way")
    parser.add_argument("--out-sheet", default="", help="the same of every frame of out-painting")
    parser.add_argument("--only-out", action="store_true", help="leave in-painting out")
    options = parser.parse_args()
    pair, shapes = load_pair(BUNDLED), masks()
    sources = [Sources.draw(pair, options.pictures, seed) for seed in range(options.seeds)]
    outpainting(pair, sources, options.out_sheet)
    if options.only_out:
        return
    rows = [sources[0].pixels[:8]]
    print("\n| way | class | " + " | ".join(shapes) + " |\n|---|---|" + "---|" * len(shapes))
    for name, how in WAYS.items():
        for same in (True, False):
            cells = []
            for mask in shapes.values():
                values = []
                for seed, source in enumerate(sources):
                    new, _ = painted(pair, source, mask, how, same, 1000 + seed)
                    values.append(seam(new, source.pixels, mask))
                    if seed == 0 and not same and mask is shapes["off the grid"]:
                        rows.append(new[:8])
                cells.append(spread(values))
            print(f"| {name} | {'same' if same else 'another'} | {' | '.join(cells)} |", flush=True)
    if options.sheet:
        sheet(rows, options.sheet)


if __name__ == "__main__":
    main()
