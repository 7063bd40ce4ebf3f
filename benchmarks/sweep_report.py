#!/usr/bin/env python3
"""From the files of `sweep.py` to docs/data/sweep.json.

    python -m benchmarks.sweep_report [--runs .bundled-work] [--output docs/data/sweep.json]

Every number is kept once per block, a quarter of a seed's images, so that whoever reads the file can compare
settings block by block: every image has a random stream of its own, so blocks are as independent as seeds. The Frechet
distance of few images is too large, by an amount that shrinks like 1 / images; kept are the jackknife values of the
distance of all images together (`tools/bundled/seeds.py`), whose mean has that part of the excess taken off.
`sweep_document.py` makes tables and plots of it.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ar_guidance.tools.bundled.metrics import Gaussian, frechet
from ar_guidance.tools.bundled.seeds import jackknife
from safetensors.torch import load_file

from .sweep import METRICS, TESTS, networks
from .sweep_settings import Setting, scalewise_settings
from .sweep_tokens import ROWS, tokenwise_settings

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "docs" / "data" / "sweep.json"
BLOCKS = 4  # of each seed
FEWEST = 5  # seeds
TOKENWISE = tokenwise_settings()

Arrays = dict[str, np.ndarray]
Row = dict[str, Any]


def read(folder: Path) -> dict[str, dict[int, Arrays]]:
    """Slug -> seed -> arrays."""
    found: dict[str, dict[int, Arrays]] = defaultdict(dict)
    for path in sorted(folder.glob("*~*~*[0-9].npz")):
        slug, seed, _ = path.stem.split("~")
        with np.load(path) as stored:
            found[slug][int(seed)] = dict(stored)
    return found


def reference() -> Gaussian:
    """Features of the training drawings."""
    stored = load_file(TESTS / "reference.safetensors")
    return Gaussian(stored["mean"].double().numpy(), stored["covariance"].double().numpy())


def blocks(runs: Sequence[Arrays]) -> list[Arrays]:
    """Every fourth image of a seed: its classes are sorted, so all blocks have about the same ones."""
    return [{k: v[b::BLOCKS] for k, v in run.items()} for run in runs for b in range(BLOCKS)]


def frechet_values(runs: Sequence[Arrays], drawings: Gaussian) -> list[float]:
    """The blocks' jackknife values of the Frechet distance."""

    def distance(parts: list[Arrays]) -> float:
        features = np.concatenate([part["features"] for part in parts]).astype(np.float32)
        return frechet(Gaussian.of(torch.from_numpy(features)), drawings)

    return jackknife(runs, distance)


def over_steps(values: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Mean over the steps of every image (B, K) -> (B,), weighted by tokens, first step left out; NaN if none.

    Measures of a whole image (B, 1) are their own mean.
    """
    if values.shape[1] == 1:
        return values[:, 0]
    weights = np.where(np.isnan(values), 0.0, tokens)[:, 1:]
    total = weights.sum(1)
    sums = (np.nan_to_num(values[:, 1:]) * weights).sum(1)
    return np.divide(sums, total, out=np.full(len(sums), np.nan), where=total > 0)


def record(
    setting: Setting, seeds: dict[int, Arrays], tokens: np.ndarray, drawings: Gaussian
) -> dict[str, Any]:
    """What is kept of one setting."""
    runs = blocks([seeds[seed] for seed in sorted(seeds)])
    row: dict[str, Any] = {"method": setting.method, "strength": setting.strength}
    row |= {"seeds": sorted(seeds), "pictures": sum(len(run["right"]) for run in runs)}
    row["frechet"] = _short(frechet_values(runs, drawings), 3)
    row["accuracy"] = _short([run["right"].mean() for run in runs], 4)
    for name in METRICS:
        there = name in runs[0]
        means = [mean(over_steps(run[name], tokens)) if there else None for run in runs]
        row[name] = _short(means, 5)
    every = [name for name in (*METRICS, *ROWS) if name in runs[0]]
    together = {name: np.concatenate([run[name] for run in runs]) for name in every}
    row["steps"] = {name: _short([mean(step) for step in v.T], 5) for name, v in together.items()}
    return row


def merged(kept: Sequence[Row], made: Sequence[Row]) -> list[Row]:
    """Records there were, those made again in their places, then new ones: runs of other settings need not lie here."""
    places = {(row["method"], row["strength"]): row for row in [*kept, *made]}
    return list(places.values())


def _there(settings: Sequence[Setting], found: dict[str, dict[int, Arrays]]) -> list[Setting]:
    """The settings with enough seeds."""
    return [setting for setting in settings if len(found[setting.slug]) >= FEWEST]


def mean(values: np.ndarray) -> float | None:
    """Mean of the numbers there are."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else None


def _short(values: Sequence[Any], digits: int) -> list[float | None]:
    return [None if value is None else round(float(value), digits) for value in values]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=Path, default=ROOT / ".bundled-work")
    parser.add_argument("--output", type=Path, default=DATA)
    options = parser.parse_args()
    drawings = reference()
    tokens = np.array([h * w for h, w in networks()[1].config.grids])
    scale, token = (read(options.runs / f"sweep-{model}") for model in ("scale", "token"))
    settings = scalewise_settings()
    made = {
        "scale": [record(s, scale[s.slug], tokens, drawings) for s in _there(settings, scale)],
        "token": [record(s, token[s.slug], tokens, drawings) for s in _there(TOKENWISE, token)],
    }
    kept = json.loads(options.output.read_text("utf-8")) if options.output.is_file() else {}
    rows = {model: merged(kept.get(model, []), records) for model, records in made.items()}
    content = {"tokens": tokens.tolist()}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in content.items()]
    for model, records in rows.items():
        lines.append(f'"{model}": [\n' + ",\n".join(json.dumps(row) for row in records) + "\n]")
    options.output.write_text("{" + ",\n".join(lines) + "}\n", encoding="utf-8")
    print(f"{', '.join(f'{len(v)} {k}' for k, v in rows.items())}: {options.output}")


if __name__ == "__main__":
    main()
