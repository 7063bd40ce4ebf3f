"""What the evaluation harness costs beside the loop, whether its memory stays flat, and what a second worker brings.

    python -m benchmarks.evaluate                       # all parts, about a quarter of an hour on two free cores
    python -m benchmarks.evaluate throughput --images 10000 [--json FILE]
    python -m benchmarks.evaluate cost --images 200     # also on a busy machine

throughput: the command with two worker processes against two processes with the bare loop (guided generation and decoding), by the
    clock; the loop runs before and after, a tenth of the images each time. Needs two free cores.
cost: the same in one process, shard by shard in turn, in processor time, which other work on the machine changes little.
memory: peak of the command and of its largest worker at a tenth of the images and at all; and of storing and reporting made-up
    numbers of 1,000, 10,000 and 100,000 samples.
workers: a Ray of this machine with one core, then with two (needs Ray: tools/evaluate/requirements.txt); with `--runner processes`
    worker processes instead. Needs two free cores.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ar_guidance.tools.evaluate.conditions import conditions_of
from ar_guidance.tools.evaluate.shards import shards_of
from ar_guidance.tools.evaluate.store import Store
from ar_guidance.tools.evaluate.work import Worker
from ar_guidance.tools.pack import ROOT

from .evaluate_runs import BATCH, SHARD, bare, order_of, plan_of
from .harness import report

CORES = 2
NUMBERS = (1_000, 10_000, 100_000)
Row = dict[str, Any]


def started(*arguments: object) -> subprocess.Popen[str]:
    """A run of `evaluate_runs` in a process of its own."""
    line = [sys.executable, "-m", "benchmarks.evaluate_runs", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(line, cwd=ROOT, text=True, stdin=pipe, stdout=pipe)


def result(running: subprocess.Popen[str]) -> Row:
    """What a run says in its last line."""
    said = running.communicate()[0].splitlines()
    if running.returncode:
        raise SystemExit(f"a run ended with {running.returncode}; see above")
    return json.loads(said[-1])


def harness(kind: str, workers: int, images: int) -> Row:
    """The command, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return result(started("harness", kind, workers, images, folder))


def loop_rate(images: int) -> float:
    """Images per second of as many bare loops as there are cores, started together."""
    each = max(BATCH, round(images / CORES / BATCH) * BATCH)
    running = [started("loop", each) for _ in range(CORES)]
    for one in running:
        assert one.stdout is not None
        one.stdout.readline()  # "ready"
    for one in running:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    return sum(each / result(one)["seconds"] for one in running)


def steady(run: Row, workers: int) -> float:
    """Images per second from when every worker has given its first shard to the last one: without start and report."""
    seen = [len({one[2] for one in run["stored"][: n + 1]}) for n in range(len(run["stored"]))]
    first = seen.index(min(workers, seen[-1]))
    since, images = run["stored"][first][0], sum(one[1] for one in run["stored"][first + 1 :])
    return images / (run["stored"][-1][0] - since)


def throughput(images: int, _: argparse.Namespace) -> list[Row]:
    """The command against the bare loop."""
    before = loop_rate(images // 10)
    run = harness("processes", CORES, images)
    after = loop_rate(images // 10)
    loop, whole, inner = (before + after) / 2, images / run["seconds"], steady(run, CORES)
    return [
        {"run": "bare loop, before", "images/s": before},
        {"run": "bare loop, after", "images/s": after},
        {"run": "command, with start and report", "images/s": whole, "of the loop": whole / loop},
        {"run": "command, between first and last shard", "images/s": inner}
        | {"of the loop": inner / loop, "images": images, "seconds": run["seconds"]}
        | {"peak MB": run["peak_mb"], "largest worker MB": run["largest_worker_mb"]},
    ]


def cost(images: int, _: argparse.Namespace) -> list[Row]:
    """Processor milliseconds per image: of the loop, of the judge, and of the whole worker with its store."""
    plan = plan_of(images)
    order = order_of(plan)
    worker = Worker(order)
    model, judge = worker.loaded("scale"), worker.judge("bundled")
    conditions = conditions_of(plan.settings[0].conditions, plan.each, Path())
    spent = {"loop": 0.0, "judge": 0.0, "whole": 0.0}

    def timed(name: str, call: Callable[[], Any]) -> Any:
        since = time.process_time()
        made = call()
        spent[name] += time.process_time() - since
        return made

    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder), plan)
        store.begin(order.version, order.hashes)
        bare(worker, model, conditions, range(min(BATCH, images)))
        for shard in shards_of(plan):
            timed("whole", lambda: store.put(worker.make(shard)))  # noqa: B023
            for numbers in shard.batches(plan.batch):
                made = timed("loop", lambda: bare(worker, model, conditions, numbers))  # noqa: B023
                timed("judge", lambda: judge.look(*made))  # noqa: B023
    rest = spent["whole"] - spent["loop"] - spent["judge"]
    names = {"whole worker": spent["whole"], "bare loop": spent["loop"]}
    names |= {"judge": spent["judge"], "everything else": rest}
    return [
        {"part": name, "ms per image": 1e3 * value / images, "share": value / spent["whole"]}
        for name, value in names.items()
    ]


def memory(images: int, _: argparse.Namespace) -> list[Row]:
    """Peak memory at two sizes, images made; and at three, numbers made up."""
    rows: list[Row] = []
    for count in (max(2 * SHARD, images // 10), images):
        run = harness("processes", CORES, count)
        rows.append({"what": "the command", "samples": count, "peak MB": run["peak_mb"]})
        rows[-1]["largest worker MB"] = run["largest_worker_mb"]
    for count in NUMBERS:
        with tempfile.TemporaryDirectory() as folder:
            run = result(started("numbers", count, folder))
        rows.append({"what": "store and report", "samples": count, "peak MB": run["peak_mb"]})
    return rows


def workers(images: int, options: argparse.Namespace) -> list[Row]:
    """One worker against two."""
    if options.runner == "ray" and find_spec("ray") is None:
        raise SystemExit(
            "workers: Ray is not installed (tools/evaluate/requirements.txt); --runner processes needs none"
        )
    runs = {count: harness(options.runner, count, images) for count in (1, 2)}
    if runs[1]["tokens"] != runs[2]["tokens"]:
        raise SystemExit("one worker and two made other tokens")
    rates = {count: steady(run, count) for count, run in runs.items()}
    return [
        {"workers": count, "images": images, "images/s": rates[count]}
        | {"of one": rates[count] / rates[1], "seconds in all": run["seconds"]}
        | {"processes": len({one[2] for one in run["stored"]}), "runner": options.runner}
        for count, run in runs.items()
    ]


PARTS: dict[str, tuple[Callable[[int, argparse.Namespace], list[Row]], int]] = {
    "throughput": (throughput, 4000),
    "cost": (cost, 400),
    "memory": (memory, 1000),
    "workers": (workers, 1000),
}

LEAST = {"throughput": 4 * SHARD, "cost": SHARD, "memory": 2 * SHARD, "workers": 4 * SHARD}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--images", type=int, help="of every part; default: each its own number")
    parser.add_argument("--runner", choices=["ray", "processes"], default="ray", help="of workers")
    parser.add_argument("--json", type=Path, help="folder for a file per part")
    options = parser.parse_args()
    unknown = [name for name in options.parts if name not in PARTS]
    if unknown:
        parser.error(f"unknown part '{unknown[0]}'; there are: {', '.join(PARTS)}")
    for name in options.parts or PARTS:
        part, images = PARTS[name]
        if options.images is not None and options.images < LEAST[name]:
            parser.error(f"{name}: --images must be {LEAST[name]} or more")
        rows = part(options.images or images, options)
        file = options.json and options.json / f"evaluate-{name}.json"
        if file:
            options.json.mkdir(parents=True, exist_ok=True)
        report(f"evaluate, {name}", rows, file)
        print(json.dumps(rows), flush=True)


if __name__ == "__main__":
    main()
