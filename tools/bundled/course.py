"""How guidance behaves from the first token to the last: CFG against SoftCFG on the token-wise bundled model.

    python -m tools.bundled.course [--pictures 200] [--plot docs/images/bundled-token-course.png]

For every step, means over the images (same classes and seeds for all methods):
- gap: L2 norm of the difference c - u of the two predictions, over the root of the vocabulary size;
- spread: entropy of softmax(c - u) / ln V, how widely the guidance itself is spread over the tokens;
- entropy: entropy of the guided prediction / ln V.
SoftCFG's claim (arXiv 2510.00996) is that the gap of CFG dwindles along the image and that its own does not.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.softcfg import RELEASED, SoftCFG
from ar_guidance.imaging.plot import BLUE, DIAMOND, GREEN, ORANGE, SQUARE, Plot, Series, draw_plot
from safetensors.torch import load_file
from torch import Tensor

from ..pack import ROOT
from .groups import ANY_STYLE
from .sample import Sampling, load_pair, token_features

NAMES = ("gap", "spread", "entropy")
BATCH = 50


def methods(scale: float) -> dict[str, Any]:
    """What is compared, at one scale."""
    return {
        "CFG": CFG(scale),
        "SoftCFG": SoftCFG(scale),
        "SoftCFG, no step normalisation": SoftCFG(scale, normalise=False),
        "SoftCFG, released code": SoftCFG(scale, convention=RELEASED),
    }


def normalised_entropy(logits: Tensor) -> Tensor:
    """Entropy of softmax(logits (..., V)) / ln V."""
    chances = logits.softmax(-1)
    return torch.special.entr(chances).sum(-1) / math.log(logits.shape[-1])


def of_step(cond: Tensor, uncond: Tensor, guided: Tensor) -> Tensor:
    """(B, 3): the numbers of `NAMES` for one step, from logits (B, 1, V)."""
    gap = cond - uncond
    size = gap.norm(dim=-1) / math.sqrt(gap.shape[-1])
    found = (size, normalised_entropy(gap), normalised_entropy(guided))
    return torch.stack([values[:, 0] for values in found], -1)


def course(
    pair: tuple[Any, Any], labels: Tensor, guidance: Any, how: Sampling, seed: int
) -> Tensor:
    """(T, 3): means over the images at every step."""
    total = torch.zeros(pair[1].config.length, len(NAMES))

    def add(progress: Any) -> None:
        assert progress.uncond is not None
        total[progress.index] += of_step(progress.cond, progress.uncond, progress.guided).sum(0)

    with torch.inference_mode():
        for first in range(0, len(labels), BATCH):
            part = labels[first : first + BATCH]
            drawer = how.drawer(seed, len(part), first)
            token_features(pair, part, Chain((guidance,)), drawer, add)
    return total / len(labels)


def shares_of_training() -> Tensor:
    """How common every group is among the training drawings."""
    stored = load_file(ROOT / "tests" / "bundled" / "reference.safetensors")
    return stored["groups"].float()


def by_rows(steps: Tensor, side: int) -> list[float]:
    """Means over the rows of the image of a quantity (T,) of every step."""
    return steps.view(-1, side).mean(1).tolist()


def plot(found: dict[str, Tensor], side: int, name: str, title: str, path: Path) -> None:
    """One quantity against the row of the image."""
    looks = ((BLUE, "disc"), (ORANGE, SQUARE), (GREEN, DIAMOND), ((120, 120, 120), "disc"))
    rows: Sequence[float] = range(1, side + 1)
    lines = [
        Series(method, rows, by_rows(steps[:, NAMES.index(name)], side), colour, point)
        for (method, steps), (colour, point) in zip(found.items(), looks, strict=True)
    ]
    draw_plot(Plot(title, "row of the image", lines)).save(path, optimize=True)


def main() -> None:
    """Print the rows' means as JSON, and draw them."""
    parser = argparse.ArgumentParser(description="How guidance behaves along an image")
    parser.add_argument("--weights", type=Path, default=ROOT / "bundled")
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--scale", type=float, default=3.0)
    parser.add_argument("--top-p", type=float, default=0.9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", type=Path, help="a PNG of the gap")
    options = parser.parse_args()
    pair, how = load_pair(options.weights, "token"), Sampling(top_p=options.top_p)
    rng = torch.Generator().manual_seed(options.seed)
    groups = torch.multinomial(shares_of_training(), options.pictures, True, generator=rng)
    labels = groups * (ANY_STYLE + 1) + ANY_STYLE
    found = {
        name: course(pair, labels, guidance, how, options.seed)
        for name, guidance in methods(options.scale).items()
    }
    side = pair[1].config.grid[0]
    table = {
        method: {name: by_rows(steps[:, i], side) for i, name in enumerate(NAMES)}
        for method, steps in found.items()
    }
    print(json.dumps(table, indent=1))
    if options.plot:
        title = f"Gap between the branches, scale {options.scale:g}, top-p {options.top_p:g}"
        plot(found, side, "gap", title, options.plot)


if __name__ == "__main__":
    main()
