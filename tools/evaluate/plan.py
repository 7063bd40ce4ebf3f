"""A plan: which samples are made, of which models under which chains, and what is measured of them.

A plan is a YAML file. Everything that decides a sample stands in it, so that sample n of a setting is the same whoever
makes it, wherever, and however often the run was stopped in between.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FORMAT = 1
KEEP = ("nothing", "png", "tokens")
SPREADS = ("softmax", "share of norm")


@dataclass(frozen=True)
class Setting:
    """One point: a model, a chain of guidances, how tokens are drawn, what of.

    Attributes:
        label: the curve it lies on.
        strength: its place on the curve's axis, or None where there is no axis.
        model: name of one of the plan's models.
        chain: (method, options) of every guidance, in order.
        sampler: filters; what is left out is as published for the family.
        conditions: what the samples show, see `conditions.py`.
        paper: numbers a paper reports for it, by metric.
    """

    label: str
    strength: float | None
    model: str
    chain: tuple[tuple[str, Mapping[str, Any]], ...]
    sampler: Mapping[str, Any]
    conditions: Mapping[str, Any]
    paper: Mapping[str, float]

    @property
    def name(self) -> str:
        """For people."""
        return self.label if self.strength is None else f"{self.label} {self.strength:g}"

    @property
    def slug(self) -> str:
        """The name of its folder."""
        return re.sub(r"[^a-z0-9.+]+", "-", f"{self.model} {self.name}".lower()).strip("-.")


@dataclass(frozen=True)
class Plan:
    """Everything a run depends on.

    Attributes:
        name, about: for the report.
        models: name -> where its weights are, see `models.py`.
        settings: in the order of the report.
        seeds, each: sample n of a setting is image n % each of seed n // each.
        batch: samples per pass; part of the plan, for rounding may depend on it.
        shard: samples per unit of work: the most that is lost when a run is stopped.
        keep: what is stored of the samples besides what was measured: "nothing", "png" or "tokens".
        judges: name -> options of what looks at the samples, see `judges`.
        trace: how norms become a distribution where the guidance itself is measured (evenness, divergence, entropy), one of
            `SPREADS`; "" where it is not.
        blocks: parts of the samples the intervals are made from.
        latency: {"runs", "warm_up", "batch"} of the latency table, or {} for none.
        threads: of a worker on the CPU; part of the plan, for rounding may depend on it.
        figures: what is drawn, see `figures.py`.
    """

    name: str
    about: str
    models: Mapping[str, Mapping[str, Any]]
    settings: tuple[Setting, ...]
    seeds: tuple[int, ...]
    each: int
    batch: int
    shard: int
    keep: str
    judges: Mapping[str, Mapping[str, Any]]
    trace: str
    blocks: int
    latency: Mapping[str, int]
    threads: int
    figures: tuple[Mapping[str, Any], ...] = field(default=())

    @property
    def samples(self) -> int:
        """Of every setting."""
        return len(self.seeds) * self.each

    def address(self, n: int) -> tuple[int, int]:
        """(seed, image index) of sample n: which random numbers it is drawn with."""
        return self.seeds[n // self.each], n % self.each

    def identity(self) -> dict[str, Any]:
        """What decides samples and measurements, as plain JSON: a stored run goes on only under the same."""
        return {
            "format": FORMAT,
            "models": {name: dict(spec) for name, spec in self.models.items()},
            "settings": {
                s.slug: {
                    "model": s.model,
                    "chain": [{method: dict(options)} for method, options in s.chain],
                    "sampler": dict(s.sampler),
                    "conditions": dict(s.conditions),
                }
                for s in self.settings
            },
            "seeds": list(self.seeds),
            **{name: getattr(self, name) for name in ("each", "batch", "shard", "keep", "trace")},
            "threads": self.threads,
            "judges": {name: dict(options) for name, options in self.judges.items()},
        }


def differences(stored: Any, asked: Any, where: str = "") -> list[str]:
    """What two plain values differ in, one line each."""
    if isinstance(stored, dict) and isinstance(asked, dict):
        lines = []
        for name in [*stored, *(n for n in asked if n not in stored)]:
            path = f"{where}.{name}" if where else str(name)
            if name not in asked:
                lines.append(f"{path}: is no longer there (was {json.dumps(stored[name])})")
            elif name not in stored:
                lines.append(f"{path}: is new ({json.dumps(asked[name])})")
            else:
                lines += differences(stored[name], asked[name], path)
        return lines
    if stored != asked:
        return [f"{where}: was {json.dumps(stored)}, is now {json.dumps(asked)}"]
    return []
