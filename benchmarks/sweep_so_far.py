"""The report of a plan's folder, or, while the plan is still running, of the seeds that every setting has finished."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ar_guidance.tools.evaluate.command import PLANS, setups
from ar_guidance.tools.evaluate.plan import Plan, differences
from ar_guidance.tools.evaluate.plan_file import read_plan
from ar_guidance.tools.evaluate.report import as_json, rows_of
from ar_guidance.tools.evaluate.shards import shards_of
from ar_guidance.tools.evaluate.store import PLAN, Store
from ar_guidance.tools.evaluate.work import Order

BLOCK = 25
Report = Mapping[str, Any]


def report_of(folder: Path) -> Report:
    """`folder` has the name of its plan. What is read there is not changed, and may still be growing.

    Raises:
        SystemExit: it is another plan's, or no seed is finished.
    """
    path = folder / "report.json"
    if path.is_file():
        report = json.loads(path.read_text("utf-8"))
        if all(row["samples"] == report["samples"] for row in report["rows"]):
            return report
    return report_so_far(folder, read_plan(PLANS / f"{folder.name}.yaml"))


def report_so_far(folder: Path, plan: Plan) -> Report:
    """The report of a plan of fewer seeds: the first ones, up to one that a setting has not finished.

    In blocks of 25 images, as those of the plan 'claims': few seeds would make few blocks.
    """
    stored = json.loads((folder / PLAN).read_text("utf-8"))
    changed = differences(stored["plan"], json.loads(json.dumps(plan.identity())))
    if changed:
        raise SystemExit(f"{folder}: made by another plan: {'; '.join(changed)}")
    count = finished_seeds(Store(folder, plan))
    if count < 2:
        raise SystemExit(f"{folder}: fewer than two seeds are finished")
    part = replace(plan, seeds=plan.seeds[:count])
    part = replace(part, blocks=max(count, part.samples // BLOCK))
    order = Order(part, "", "cpu", stored["version"], stored["weights"])
    store = Store(folder, part)
    made_by = {"version": order.version, "weights": order.hashes}
    return json.loads(as_json(part, rows_of(store, setups(store, order)), made_by, {}))


def finished_seeds(store: Store) -> int:
    """How many seeds, from the first on, have all their samples in every setting."""
    each = store.plan.each
    missing = (shard.start // each for shard in shards_of(store.plan) if not store.has(shard))
    return min(missing, default=len(store.plan.seeds))
