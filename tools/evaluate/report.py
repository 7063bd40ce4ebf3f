"""From stored numbers to one JSON file and one Markdown table, the same for the same samples whoever made them."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .estimates import Measured, mean_of
from .judges import Setup, measure
from .plan import Plan, Setting
from .samples import Samples
from .shards import shards_of
from .store import Store

TRACED = {"evenness": "low", "divergence": "high", "entropy": ""}
STEPS = "steps."
ARROWS = {"low": " ↓", "high": " ↑", "": ""}


@dataclass(frozen=True)
class Row:
    """One setting in the report.

    Attributes:
        samples: how many there are.
        tokens: hash over the digests of all samples' tokens: equal ones mean equal tokens.
        metrics: name -> number.
        steps: name of a trace metric -> its mean at every step, None where nothing acted.
    """

    setting: Setting
    samples: int
    tokens: str
    metrics: Mapping[str, Measured]
    steps: Mapping[str, list[float | None]]


def rows_of(store: Store, setup: Mapping[str, Setup]) -> list[Row]:
    """Every setting that has samples; `setup`: by name of the model."""
    plan, found = store.plan, []
    finished = [shard for shard in shards_of(plan) if store.has(shard)]
    for number, setting in enumerate(plan.settings):
        own = sorted((s for s in finished if s.setting == number), key=lambda shard: shard.start)
        if own:
            samples = Samples(store, tuple(own), plan.blocks)
            found.append(_row(plan, setting, samples, setup[setting.model]))
    return found


def _row(plan: Plan, setting: Setting, samples: Samples, setup: Setup) -> Row:
    metrics: dict[str, Measured] = {}
    for name, options in plan.judges.items():
        metrics |= measure(name, options, samples, setup)
    columns = samples.columns()
    for name, better in TRACED.items():
        column = f"trace.{name}"
        traced = mean_of(samples, column, name, better, 4) if column in columns else None
        if traced is not None:
            metrics[name] = traced
    steps = {n.removeprefix(STEPS): _by_step(samples, n) for n in columns if n.startswith(STEPS)}
    return Row(setting, samples.count, _tokens(samples), metrics, steps)


def _by_step(samples: Samples, name: str) -> list[float | None]:
    """Mean over the samples at every step; None where no sample has a number."""
    sums, counts = np.zeros(1), np.zeros(1)
    for _, arrays in samples.parts([name]):
        values = arrays[name].astype(np.float64)
        sums = sums + np.nan_to_num(values).sum(0)
        counts = counts + (~np.isnan(values)).sum(0)
    return [float(s / n) if n else None for s, n in zip(sums, counts, strict=True)]


def _tokens(samples: Samples) -> str:
    digest = hashlib.sha256()
    for _, arrays in samples.parts(["digest"]):
        digest.update(arrays["digest"].astype("<u8").tobytes())
    return digest.hexdigest()[:16]


def as_json(
    plan: Plan, rows: Sequence[Row], made_by: Mapping[str, Any], latency: Mapping[str, Any]
) -> str:
    """The report for programs. Numbers are written in full; what is not a number is null."""
    content = {
        "name": plan.name,
        "samples": plan.samples,
        "seeds": list(plan.seeds),
        "version": made_by["version"],
        "weights": made_by["weights"],
        "rows": [_plain(row) for row in rows],
    } | ({"latency": dict(latency)} if latency else {})
    return json.dumps(_without_nan(content), indent=1, ensure_ascii=False) + "\n"


def _plain(row: Row) -> dict[str, Any]:
    setting = row.setting
    return {
        "label": setting.label,
        "strength": setting.strength,
        "model": setting.model,
        "chain": [{method: dict(options)} for method, options in setting.chain],
        "sampler": dict(setting.sampler),
        "samples": row.samples,
        "tokens": row.tokens,
        "metrics": {name: asdict(measured) for name, measured in row.metrics.items()},
        "steps": dict(row.steps),
        "paper": dict(setting.paper),
    }


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_markdown(
    plan: Plan,
    rows: Sequence[Row],
    made_by: Mapping[str, Any],
    latency: Sequence[str] = (),
    figures: Sequence[str] = (),
) -> str:
    """The report for people. `latency`: lines of its table; `figures`: paths of images."""
    lines = [f"# {plan.name}", ""]
    if plan.about:
        lines += [plan.about, ""]
    lines += [*table(rows), "", *_explained(plan, rows), ""]
    compared = comparison(rows)
    if compared:
        lines += ["## Beside the papers", "", *compared, ""]
    if latency:
        lines += ["## Latency", "", *latency, "", "± is the standard deviation of one run.", ""]
    lines += [f"![{path}]({path})\n" for path in figures]
    lines += ["## Made with", "", f"- pack {made_by['version']}"]
    for model, parts in made_by["weights"].items():
        lines += [f"- {model}: {part} SHA-256 `{found[:16]}…`" for part, found in parts.items()]
    return "\n".join(lines) + "\n"


def table(rows: Sequence[Row]) -> list[str]:
    """Markdown: one line per setting."""
    titles: dict[str, str] = {}
    for row in rows:
        for name, measured in row.metrics.items():
            titles.setdefault(name, measured.title + ARROWS[measured.better])
    head = ["model", "setting", "samples", *titles.values()]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in rows:
        cells = [row.setting.model, row.setting.name, str(row.samples)]
        cells += [row.metrics[name].text() if name in row.metrics else "" for name in titles]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def comparison(rows: Sequence[Row]) -> list[str]:
    """Markdown: what was measured beside what a paper reports, where it reports something."""
    lines: list[str] = []
    for row in rows:
        for name, reported in row.setting.paper.items():
            measured = row.metrics.get(name)
            here = "not measured" if measured is None else measured.text()
            lines.append(
                f"| {row.setting.model} | {row.setting.name} | {name} | {reported:g} | {here} |"
            )
    head = ["| model | setting | metric | paper | here |", "|---|---|---|---|---|"]
    return [*head, *lines] if lines else []


def _explained(plan: Plan, rows: Sequence[Row]) -> list[str]:
    """What the table's numbers are."""
    lines = [
        f"± is half a 95 % interval (Student) over {plan.blocks} blocks of consecutive samples, of Fréchet distances over"
        " jackknife values: how far another run with other random numbers may lie, not the difference to other weights."
    ]
    short = [row.setting.name for row in rows if row.samples < plan.samples]
    if short:
        lines += ["", f"Not finished (of {plan.samples} samples each): {', '.join(short)}."]
    return lines
