"""GenEval, by its authors' own evaluator, which brings detectors this pack does not: laid out for it, and its result read.

Options: `metadata` (evaluation_metadata.jsonl of GenEval, one entry per prompt), `results` (the results.jsonl its evaluate_images.py
wrote for a setting; `SETTING` in the path stands for the setting's folder). The plan must say `keep: png`, and
prompts in the order of the metadata; image n belongs to prompt n mod (number of prompts).
"""

import json
import shutil
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..conditions import Asked
from ..estimates import Measured
from ..problems import EvaluationError
from ..samples import Samples
from . import Setup, known_options

Options = Mapping[str, Any]


class Nothing:
    """The evaluator looks at the kept images later."""

    def look(self, images: Tensor, asked: Asked) -> dict[str, np.ndarray]:
        return {}


def check(name: str, options: Options, weights: Path) -> None:
    """Options and the metadata."""
    known_options(name, options, {"metadata", "results"})
    if "metadata" not in options:
        raise EvaluationError(f"judge 'geneval' needs 'metadata': {__doc__}")
    _entries((weights / str(options["metadata"])).expanduser())


def _entries(path: Path) -> list[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        entries = [json.loads(line) for line in lines if line.strip()]
    except (OSError, ValueError) as error:
        raise EvaluationError(
            f"judge 'geneval': {path} is no file of JSON lines: {error}"
        ) from error
    if not entries or not all(isinstance(entry, dict) for entry in entries):
        raise EvaluationError(f"judge 'geneval': {path} has no entries")
    return entries


def open_judge(name: str, options: Options, weights: Path, device: torch.device) -> Nothing:
    """Nothing is loaded."""
    return Nothing()


def measure(name: str, options: Options, samples: Samples, setup: Setup) -> dict[str, Measured]:
    """Lay the images out for the evaluator; read its result where there is one."""
    slug = samples.store.path(samples.shards[0]).parent.name
    kept = samples.store.folder / "kept" / slug
    _lay_out(
        kept,
        _entries((setup.weights / str(options["metadata"])).expanduser()),
        setup.cache / "geneval" / slug,
    )
    path = (setup.weights / str(options.get("results", "")).replace("SETTING", slug)).expanduser()
    return scores(_entries(path)) if "results" in options and path.is_file() else {}


def _lay_out(kept: Path, entries: list[dict[str, Any]], folder: Path) -> None:
    """NNNNN/metadata.jsonl and NNNNN/samples/NNNN.png, as evaluate_images.py expects."""
    images = sorted(kept.glob("*.png"))
    if not images:
        raise EvaluationError("judge 'geneval' looks at images: the plan must say 'keep: png'")
    for path in images:
        turn, prompt = divmod(int(path.stem), len(entries))
        place = folder / f"{prompt:05d}"
        (place / "samples").mkdir(parents=True, exist_ok=True)
        (place / "metadata.jsonl").write_text(json.dumps(entries[prompt]) + "\n", encoding="utf-8")
        target = place / "samples" / f"{turn:04d}.png"
        if not target.exists():
            shutil.copyfile(path, target)


def scores(results: list[dict[str, Any]]) -> dict[str, Measured]:
    """Share of correct images by task, and GenEval's overall score: the mean of the tasks'. Also the shares of all images
    that are correct, and of all prompts of which one image is.

    Raises:
        EvaluationError: these are not results of its evaluator.
    """
    by_task: dict[str, list[bool]] = defaultdict(list)
    by_prompt: dict[str, list[bool]] = defaultdict(list)
    for entry in results:
        if not {"tag", "correct"} <= set(entry):
            raise EvaluationError(
                "judge 'geneval': these are no results of GenEval's evaluator, whose lines have 'tag' and 'correct':"
                f" {json.dumps(entry)[:80]}"
            )
        by_task[str(entry["tag"])].append(bool(entry["correct"]))
        by_prompt[str(entry.get("metadata", ""))].append(bool(entry["correct"]))
    shares = {task: float(np.mean(values)) for task, values in sorted(by_task.items())}
    overall = float(np.mean(list(shares.values())))
    everything = {"geneval": overall} | {f"geneval {task}": share for task, share in shares.items()}
    everything["geneval images"] = float(
        np.mean([one for task in by_task.values() for one in task])
    )
    if "" not in by_prompt:
        everything["geneval prompts"] = float(np.mean([any(one) for one in by_prompt.values()]))
    return {n: Measured(n, value, float("nan"), (), "high", 3) for n, value in everything.items()}
