#!/usr/bin/env python3
"""Guidance measured on the bundled model: quality, class accuracy, evenness and divergence against strength.

    python benchmarks/sweep.py [--seeds 5] [--pictures 200] [--workers 2] [--output .bundled-work/sweep]

Every setting makes the same pictures (same classes, same seeds) through the loop the nodes use. A small classifier
trained on the same drawings judges them: Frechet distance of its features to those of the training drawings, and the
share of pictures whose class it recognises. Evenness and divergence are those of the term that is added, divided by
its strength. The Frechet distance of few pictures is biased upwards, by the same amount for all settings: compare rows,
not this column with the model card's. Writes one record per setting and seed to OUTPUT.json, and prints the mean and
the standard error over seeds.
"""

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from pack import load_pack  # noqa: E402

load_pack()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from ar_guidance.guidance import metrics  # noqa: E402
from ar_guidance.guidance.base import Guidance, Run  # noqa: E402
from ar_guidance.guidance.cfg import CFG  # noqa: E402
from ar_guidance.guidance.chain import Chain  # noqa: E402
from ar_guidance.guidance.igg import IGG  # noqa: E402
from ar_guidance.guidance.mixed import Mixed  # noqa: E402
from ar_guidance.guidance.record import Trace, TraceRecorder  # noqa: E402
from ar_guidance.guidance.schedule import Schedule  # noqa: E402
from ar_guidance.guidance.ssg import SSG  # noqa: E402
from ar_guidance.loaders.detect import find_part  # noqa: E402
from ar_guidance.loaders.read import read_weights  # noqa: E402
from ar_guidance.nodes.subject import subject_from_border  # noqa: E402
from ar_guidance.sampling.draw import Filters, StreamDrawer, Streams  # noqa: E402
from ar_guidance.sampling.scalewise import ScalewiseRun, generate  # noqa: E402
from ar_guidance.tools.bundled.classifier import judge, load_classifier  # noqa: E402
from ar_guidance.tools.bundled.groups import ANY_STYLE  # noqa: E402
from ar_guidance.tools.bundled.metrics import Gaussian, frechet  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from torch import Tensor  # noqa: E402

CPU = torch.device("cpu")
BATCH = 50


@dataclass(frozen=True)
class Setting:
    """One row: a curve's name, the strength on its axis, and the chain."""

    method: str
    strength: float
    links: tuple[Guidance, ...]


def settings(quick: bool) -> list[Setting]:
    """Everything that is compared."""
    rows = [Setting("no guidance", 1.0, ())]
    for scale in (1.5, 2.0, 3.0, 4.0, 6.0, 8.0):
        rows.append(Setting("CFG", scale, (CFG(scale),)))
        rows.append(Setting("IGG", scale, (IGG(scale),)))
        rows.append(Setting("IGG window", scale, (IGG(scale, window="auto"),)))
        rows.append(
            Setting("mixed, IGG -0.4", scale, (Mixed(scale, "linear ramp", igg_scale=-0.4),))
        )
        rows.append(Setting("mixed, IGG +1", scale, (Mixed(scale, "linear ramp", igg_scale=1.0),)))
    base = CFG(3.0)
    for beta in (0.1, 0.2, 0.4, 0.8, 1.2):
        rows.append(Setting("CFG 3 + SSG", beta, (base, SSG(beta))))
        rows.append(
            Setting(
                "CFG 3 + SSG, preserve", beta, (base, SSG(beta, amplitude="preserve amplitude"))
            )
        )
        rows.append(Setting("CFG 3 + SSG, constant", beta, (base, SSG(beta, "constant"))))
        for prior in ("DSE zero", "linear", "nearest"):
            rows.append(Setting(f"CFG 3 + SSG, {prior}", beta, (base, SSG(beta, prior=prior))))
    return rows[::9] if quick else rows


@cache
def networks() -> tuple[Any, Any, Any, Gaussian]:
    """Transformer, tokenizer, classifier and the training drawings' features, once per process."""
    torch.set_num_threads(1)
    parts = []
    for name, part in (("emoji_var", "transformer"), ("emoji_tokenizer", "tokenizer")):
        found = find_part(read_weights(ROOT / "bundled" / f"{name}.safetensors"), part)
        network = found.family.build(found.config)
        network.load_state_dict(found.tensors, strict=False)
        parts.append(network.eval())
    folder = ROOT / "tests" / "bundled"
    stored = load_file(folder / "reference.safetensors")
    reference = Gaussian(stored["mean"].double().numpy(), stored["covariance"].double().numpy())
    return parts[0], parts[1], load_classifier(folder / "classifier.safetensors"), reference


def classes(count: int) -> Tensor:
    """Groups of the pictures: drawn in the proportion of the training drawings, the same for every setting."""
    shares = load_file(ROOT / "tests" / "bundled" / "reference.safetensors")["groups"].float()
    return torch.multinomial(shares, count, True, generator=torch.Generator().manual_seed(0))


def measure(job: tuple[Setting, int, int]) -> dict[str, Any]:
    """One setting with one seed."""
    setting, seed, count = job
    network, codec, classifier, reference = networks()
    groups = classes(count)
    labels = groups * (ANY_STYLE + 1) + ANY_STYLE
    pictures, maps = [], []
    with torch.inference_mode():
        for start in range(0, count, BATCH):
            part = labels[start : start + BATCH]
            run = Run("scale", network.config.grids, published=Schedule("linear ramp"))
            recorder = TraceRecorder(run.grids)
            job_ = ScalewiseRun(
                conditions=(part, network.null_condition(len(part))),
                batch=len(part),
                run=run,
                chain=Chain(setting.links),
                draw=StreamDrawer(Filters(top_p=0.95), Streams(seed, len(part), first=start)),
            )
            result = generate(network, codec, job_, CPU, recorder=recorder)
            pictures.append(codec.decode(result.features))
            maps.append(shape_of_guidance(setting, recorder.finish(), pictures[-1]))
        made = torch.cat(pictures)
        features, logits, _ = judge(classifier, made)
    return {
        "method": setting.method,
        "strength": setting.strength,
        "seed": seed,
        "accuracy": float((logits.argmax(1) == groups).float().mean()),
        "frechet": frechet(Gaussian.of(features), reference),
        "evenness": mean([m["evenness"] for m in maps]),
        "divergence": mean([m["divergence"] for m in maps]),
    }


def shape_of_guidance(setting: Setting, trace: Trace, pictures: Tensor) -> dict[str, float | None]:
    """Evenness and divergence of the last link's direction, averaged over pictures and (by tokens) over steps."""
    name = f"{setting.links[-1].name} direction" if setting.links else ""
    rows = trace.maps.get(name, trace.maps["added"] if setting.links else [])
    subject = subject_from_border(pictures.movedim(1, -1) / 2 + 0.5).float()[:, None]
    even, apart, counts = [], [], []
    for row in rows:
        if row is None:
            even.append(None), apart.append(None), counts.append(1)
            continue
        flat = row.float().flatten(1)
        inside = torch.nn.functional.interpolate(subject, size=row.shape[1:], mode="area") > 0.5
        even.append(metrics.evenness(flat).mean())
        apart.append(_divergence(flat, ~inside.flatten(1)))
        counts.append(flat.shape[1])
    return {
        "evenness": _number(metrics.weighted_mean(even, counts) if even else None),
        "divergence": _number(metrics.weighted_mean(apart, counts) if apart else None),
    }


def _divergence(flat: Tensor, background: Tensor) -> Tensor | None:
    """Mean over the pictures that have both subject and background at this grid."""
    values = [
        metrics.divergence(row, metrics.background_picks(ground, 0))
        for row, ground in zip(flat, background, strict=True)
        if ground.any() and not ground.all()
    ]
    return torch.stack(values).mean() if values else None


def _number(value: Tensor | None) -> float | None:
    return None if value is None else float(value)


def mean(values: list[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


def print_table(rows: list[dict[str, Any]]) -> None:
    """Mean and standard error over seeds, a line per setting."""
    names = ("accuracy", "frechet", "evenness", "divergence")
    print(f"| method | strength | {' | '.join(names)} |\n|---|---|{'---|' * len(names)}")
    for key in dict.fromkeys((row["method"], row["strength"]) for row in rows):
        own = [row for row in rows if (row["method"], row["strength"]) == key]
        cells = []
        for name in names:
            values = [row[name] for row in own if row[name] is not None]
            error = np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else float("nan")
            cells.append(f"{np.mean(values):.3f} ± {error:.3f}" if values else "")
        print(f"| {key[0]} | {key[1]:g} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=200, help="per setting and seed")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a few settings only")
    parser.add_argument("--output", type=Path, default=ROOT / ".bundled-work" / "sweep")
    options = parser.parse_args()
    jobs = [
        (setting, seed, options.pictures)
        for setting in settings(options.quick)
        for seed in range(options.seeds)
    ]
    rows = []
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        for done, row in enumerate(pool.map(measure, jobs), start=1):
            rows.append(row)
            print(f"{done}/{len(jobs)} {row['method']} {row['strength']:g}", flush=True)
    print_table(rows)
    path = options.output.with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=0) + "\n", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
