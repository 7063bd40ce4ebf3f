#!/usr/bin/env python3
"""Linear layers of VAR-d16's width on the processor: as the layer computes, as W x^T, and as `models/parts/linear.py` does.

    python -m benchmarks.linear [--rows 2 16 18 ...] [--json FILE]

The four layers of a block (1024 to 3072, 1024, 4096, and 4096 to 1024), four of each in turn so that no weight stays in the
processor's cache; single precision, medians of seven after one to warm up, the three ways in turns. "of a large product": the
share of the rate of a 2048 x 2048 one in the same process.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from ar_guidance.models.parts.linear import quick
from torch import nn

from .generation import matrix_rate
from .harness import in_turns, report

SHAPES = ((1024, 3072), (1024, 1024), (1024, 4096), (4096, 1024))
COPIES, TURNS = 4, 7
# VAR-d16's scales under guidance, and passes
ROWS = (1, 2, 8, 16, 18, 32, 50, 72, 128, 200, 338, 512)


def measure(layers: list[nn.Linear], rows: int, rate: float) -> dict[str, Any]:
    """One row of the table."""
    inputs = {layer: torch.randn(rows, layer.in_features) for layer in layers}

    def own() -> None:
        for layer, x in inputs.items():
            nn.Linear.forward(layer, x)

    def turned() -> None:
        for layer, x in inputs.items():
            torch.addmm(layer.bias[:, None], layer.weight, x.t())

    def ours() -> None:
        for layer, x in inputs.items():
            layer(x)

    found = in_turns({"x W": own, "W x": turned, "pack": ours}, TURNS)
    flops = 2 * rows * sum(layer.weight.numel() for layer in layers)
    row: dict[str, Any] = {"rows": rows}
    row |= {f"{name} ms": seconds / COPIES * 1e3 for name, seconds in found.items()}
    row["of a large product"] = flops / found["pack"] / rate
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    layers = [quick(nn).Linear(*shape) for shape in SHAPES for _ in range(COPIES)]
    with torch.inference_mode():
        rate = matrix_rate(torch.device("cpu"), torch.float32)
        rows = [measure(layers, rows, rate) for rows in options.rows]
    report("linear layers of a block of VAR-d16, four layers", rows, options.json)


if __name__ == "__main__":
    main()
