"""The command line: from a plan to its report."""

import argparse
import errno
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from ..pack import ROOT
from . import edm2, latency, report, runners
from .chains import chain_of
from .cluster import cluster
from .conditions import conditions_of
from .figures import check_figures, draw_figure
from .judges import Setup, check_judge, check_size, compares_sizes
from .models import resolution_of
from .plan import Plan
from .plan_file import read_plan
from .problems import EvaluationError, SampleError
from .progress import Progress
from .shards import Shard, count_of, shards_of
from .store import Store, cannot_write
from .version import version
from .weights import check_hashes, files_of
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
    made.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="workers of a Ray cluster; without an address, Ray on this machine alone",
    )
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
        tell(f"error: {error}")
        return 1
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        tell(f"error: {cannot_write(error.filename or 'a file', error)}")
        return 1
    except KeyboardInterrupt:
        tell("stopped; the same command goes on from here")
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
        if not options.report_only:
            latency.measure_all(store, order, tell)
        write_report(store, order)
    for problem in failed:
        tell(f"error: {problem}")
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
    check_figures(plan.figures)
    for name, judge_options in plan.judges.items():
        check_judge(name, judge_options, weights)
    hashes = {
        name: check_hashes(name, spec, files_of(name, spec, weights))
        for name, spec in plan.models.items()
    }
    edm2.check(plan, weights)
    _check_sizes(plan, weights)
    return hashes


def _check_sizes(plan: Plan, weights: Path) -> None:
    """Every model against what its samples are compared with."""
    judges = {name: given for name, given in plan.judges.items() if compares_sizes(name)}
    for model, spec in plan.models.items() if judges else ():
        resolution = resolution_of(model, spec, weights)
        for name, given in judges.items():
            check_size(name, given, weights, resolution)


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
    if options.ray is not None:
        return cluster(order, missing, options.ray)
    if options.workers > 1:
        return runners.processes(order, missing, options.workers)
    return runners.alone(order, missing)


def write_report(store: Store, order: Order) -> None:
    """report.json, report.md and figures, from what is there."""
    plan, rows = order.plan, report.rows_of(store, setups(store, order))
    made_by = {"version": order.version, "weights": order.hashes}
    drawn = []
    for spec in plan.figures:
        figure = draw_figure(spec, rows)
        if figure is not None:
            content = io.BytesIO()
            figure.save(content, "PNG", optimize=True)
            drawn.append(f"figures/{spec['name']}.png")
            store.write(store.folder / drawn[-1], content.getvalue())
    timed = latency.stored(store)
    times = {slug: asdict(one) for slug, one in timed.items()}
    store.write(store.folder / "report.json", report.as_json(plan, rows, made_by, times).encode())
    text = report.as_markdown(plan, rows, made_by, latency.table(store, timed), drawn)
    store.write(store.folder / "report.md", text.encode())
    tell(f"report: {store.folder / 'report.md'}")


def setups(store: Store, order: Order) -> dict[str, Setup]:
    """What judges need to know of every model's samples."""
    weights, device, found = Path(order.weights), torch.device(order.device), {}
    for name, spec in order.plan.models.items():
        found[name] = Setup(weights, store.folder, resolution_of(name, spec, weights), device)
    return found


def tell(line: str) -> None:
    """Progress for whoever watches."""
    print(line, file=sys.stderr, flush=True)
