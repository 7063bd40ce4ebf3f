"""Half precision: how many greedy tokens of the golden cases stay those of fp32. `docs/families.md` has the table.

Two numbers a case. *Each decision*: every scale is predicted from the fp32 run's own tokens, so a token counts once. *Whole
run*: the run goes on from its own tokens, so that one flipped token changes what every later scale is predicted from;
random networks decide by margins that trained ones do not have, and the fact sheet of Infinity warns of exactly this.
"""

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from ar_guidance.sampling.edit import KeptTokens
from ar_guidance.sampling.scalewise import generate
from ar_guidance.tests.golden.loading import load
from torch import Tensor

HERE = Path(__file__).parent


collect = load("golden_test", HERE / "test_golden.py")
FAMILIES = ("var", "var_clip", "switti", "hart", "infinity")
LEAST = 0.95  # share of equal tokens, each decision by itself
# Of whole runs: where one flips depends on the processor, and early in a run it takes many with it. Those of ours that do are
# named in `docs/families.md`.
LEAST_WHOLE = 0.6
TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
FOLDERS = [
    folder
    for folder in collect._cases()
    if folder.parent.name in FAMILIES and collect.Case(folder).file("transformer") is not None
]


def tokens(folder: Path, dtype: torch.dtype | None, given: list[Tensor] | None) -> list[Tensor]:
    """Tokens the case's main run draws, greedy, every scale predicted from `given` if there are any."""
    family = folder.parent.name
    setup = load(f"golden_{family}", HERE / "families" / f"{family}.py").setup(collect.Case(folder))
    network = sys.modules["golden_shared"].build(setup.model, dtype)
    job = setup.job
    if given is not None:
        everything = [torch.ones(1, *grid, dtype=torch.bool) for grid in job.run.grids]
        job = replace(job, kept=KeptTokens(given, everything))
    drawn: list[Tensor] = []
    with torch.inference_mode():
        generate(
            network,
            setup.codec,
            job,
            torch.device("cpu"),
            on_step=lambda progress: drawn.append(progress.drawn),
        )
    return drawn


def differing(a: list[Tensor], b: list[Tensor]) -> int:
    return sum(int((x != y).sum()) for x, y in zip(a, b, strict=True))


def allowed(count: int, least: float) -> int:
    """How many of `count` tokens may differ; one more than here, as processors break ties differently."""
    return math.ceil(round((1 - least) * count, 6)) + 1


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    "folder", FOLDERS, ids=lambda folder: f"{folder.parent.name}/{folder.name}"
)
def test_half_precision_takes_the_same_tokens(folder: Path, dtype: str) -> None:
    wide, half = tokens(folder, None, None), TYPES[dtype]
    count = sum(x.numel() for x in wide)
    assert differing(tokens(folder, half, wide), wide) <= allowed(count, LEAST)
    assert differing(tokens(folder, half, None), wide) <= allowed(count, LEAST_WHOLE)
