"""The command line: from a plan to its report."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from ..pack import ROOT
from . import report, runners
from .chains import chain_of
from .conditions import conditions_of
from .judges import Setup, check_judge
from .models import check_hashes, files_of, load
from .plan import Plan, read_plan
from .problems import EvaluationError, SampleError
from .progress import Progress
from .shards import Shard, count_of, shards_of
from .store import Store
from .version import version
from .work import Order

PLANS = Path(__file__).parent / "plans"


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog="python -m tools.evaluate",
        description="Make the samples of a plan, measure them, write a report. Goes on where it was stopped.",
    )
    made.add_argument(
        "plan", help="a YAML file, or the name of a ready plan: " + ", ".join(ready())
    )
    made.add_argument(
        "--output", type=Path, help="folder of samples and report; default: .evaluation/PLAN"
    )
    made.add_argument(
        "--weights", type=Path, default=Path(), help="folder that paths of the plan start from"
    )
    made.add_argument("--device", help="cpu, cuda, cuda:1; default: cuda where there is one")
    made.add_argument("--workers", type=int, default=1, help="processes of this machine")
    made.add_argument("--report-only", action="store_true", help="make no samples")
    made.add_argument(
        "--check", action="store_true", help="read the plan, look for its files, and stop"
    )
    return made


def ready() -> list[str]:
    """Names of the plans in `plans/`."""
    return sorted(path.stem for path in PLANS.glob("*.yaml"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a plan; 0 if all of it was done."""
    try:
        return run(parser().parse_args(arguments))
    except EvaluationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130


def run(options: argparse.Namespace) -> int:
    """Everything the command line asks for."""
    plan = read_plan(_plan_path(options.plan))
    hashes = check(plan, options.weights)
    if options.check:
        print(f"{plan.name}: {len(plan.settings)} settings of {plan.samples} samples")
        return 0
    folder = options.output or ROOT / ".evaluation" / Path(options.plan).stem
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    order = Order(plan, str(options.weights), device, version(), hashes)
    store = Store(folder, plan)
    with store.locked():
        store.begin(order.version, hashes)
        failed = [] if options.report_only else make(store, order, options)
        write_report(store, order)
    for problem in failed:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if failed else 0


def _plan_path(name: str) -> Path:
    path = PLANS / f"{name}.yaml"
    return path if name in ready() else Path(name)


def check(plan: Plan, weights: Path) -> dict[str, dict[str, str]]:
    """SHA-256 of all weights. Everything that can be refused before a sample is made is refused here.

    Raises:
        EvaluationError: unknown guidances, judges or conditions, files that are missing or others than the plan says.
    """
    for setting in plan.settings:
        try:
            chain_of(setting.chain)
            conditions_of(setting.conditions, plan.each, weights)
        except EvaluationError as error:
            raise EvaluationError(f"{setting.name}: {error}") from error
    for name, judge_options in plan.judges.items():
        check_judge(name, judge_options, weights)
    return {
        name: check_hashes(name, spec, files_of(name, spec, weights))
        for name, spec in plan.models.items()
    }


def make(store: Store, order: Order, options: argparse.Namespace) -> list[SampleError]:
    """Make what is missing; the shards that came to nothing."""
    shards = shards_of(order.plan)
    missing = [shard for shard in shards if not store.has(shard)]
    progress = Progress(count_of(shards), count_of(shards) - count_of(missing))
    failed: list[SampleError] = []
    if not missing:
        return failed
    for outcome in outcomes(order, missing, options):
        if isinstance(outcome, SampleError):
            failed.append(outcome)
            continue
        store.put(outcome)
        progress.add(outcome.shard.count)
    return failed


def outcomes(
    order: Order, missing: Sequence[Shard], options: argparse.Namespace
) -> Iterator[runners.Outcome]:
    """The shards as they come, from whoever makes them."""
    if options.workers > 1:
        return runners.processes(order, missing, options.workers)
    return runners.alone(order, missing)


def write_report(store: Store, order: Order) -> None:
    """report.json and report.md, from what is there."""
    plan, weights = order.plan, Path(order.weights)
    setup = {}
    for name, spec in plan.models.items():
        model = load(name, spec, weights, torch.device("cpu"))
        setup[name] = Setup(weights, store.folder, model.resolution, torch.device(order.device))
    rows = report.rows_of(store, setup)
    made_by = {"version": order.version, "weights": order.hashes}
    store.write(store.folder / "report.json", report.as_json(plan, rows, made_by).encode())
    text = report.as_markdown(plan, rows, made_by)
    store.write(store.folder / "report.md", text.encode())
    print(f"report: {store.folder / 'report.md'}", file=sys.stderr)
    print(json.dumps({row.setting.slug: row.samples for row in rows}), file=sys.stderr)
