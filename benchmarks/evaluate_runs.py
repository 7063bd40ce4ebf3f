"""One run for `benchmarks/evaluate.py`, in a process of its own, whose start and peak memory are then its own too.

    python -m benchmarks.evaluate_runs harness alone|processes|ray WORKERS IMAGES FOLDER
    python -m benchmarks.evaluate_runs loop IMAGES
    python -m benchmarks.evaluate_runs numbers IMAGES FOLDER

`harness` is the command `python -m tools.evaluate` on a plan of so many images; `loop` is guided generation and decoding alone, which
starts when it is given a line; `numbers` stores made-up numbers and makes the report of them. Each ends with a line of JSON.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from ar_guidance.tools.evaluate import command
from ar_guidance.tools.evaluate.conditions import Conditions, conditions_of
from ar_guidance.tools.evaluate.models import AnyModel
from ar_guidance.tools.evaluate.plan import Plan
from ar_guidance.tools.evaluate.plan_file import make_plan
from ar_guidance.tools.evaluate.shards import Made, shards_of
from ar_guidance.tools.evaluate.store import Store
from ar_guidance.tools.evaluate.version import version
from ar_guidance.tools.evaluate.work import Order, Worker, decode, generate
from ar_guidance.tools.pack import ROOT

BATCH, SHARD = 50, 50
WIDTH = 128  # of the bundled judge's features


def content_of(images: int, shard: int = SHARD, batch: int = BATCH) -> dict[str, Any]:
    """A plan: CFG 3 on the bundled scale-wise model."""
    return {
        "models": {"scale": {"bundled": "scale"}},
        "conditions": {"classes": "training"},
        "seeds": 1,
        "each": images,
        "batch": batch,
        "shard": shard,
        "sampler": {"top_p": 0.95, "top_k": 0},
        "rows": [{"label": "CFG", "strength": 3, "chain": [{"cfg": {"scale": 3}}]}],
    }


def plan_of(images: int, shard: int = SHARD, batch: int = BATCH) -> Plan:
    return make_plan(content_of(images, shard, batch))


def order_of(plan: Plan) -> Order:
    return Order(plan, "", "cpu", version(), command.check(plan, Path()))


@torch.inference_mode()
def bare(
    worker: Worker, model: AnyModel, conditions: Conditions, numbers: range
) -> tuple[torch.Tensor, Any]:
    """What no harness can do without: images of these samples, and what was asked."""
    plan = worker.order.plan
    addresses = [plan.address(n) for n in numbers]
    asked = conditions.of(model, addresses)
    made = generate(model, plan.settings[0], asked, addresses)
    return decode(model, made.features), asked


def loop(images: int) -> dict[str, Any]:
    """Seconds of the bare loop, its start and a first pass left out."""
    plan = plan_of(images)
    worker = Worker(order_of(plan))
    model = worker.loaded("scale")
    conditions = conditions_of(plan.settings[0].conditions, plan.each, Path())
    bare(worker, model, conditions, range(min(BATCH, images)))
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.perf_counter()
    for shard in shards_of(plan):
        for numbers in shard.batches(plan.batch):
            bare(worker, model, conditions, numbers)
    return {"seconds": time.perf_counter() - started, "images": images}


def harness(kind: str, workers: int, images: int, folder: Path) -> dict[str, Any]:
    """The command itself, from its start to its report; `stored`: (second, images, process) of every shard."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(content_of(images)), encoding="utf-8")
    # By the names the command itself has them under, which Ray's workers can import as well.
    own, kept = (import_module(f"tools.evaluate.{name}") for name in ("command", "store"))
    started, stored, put = time.perf_counter(), [], kept.Store.put

    def noted(store: Any, made: Any) -> None:
        put(store, made)
        stored.append((time.perf_counter() - started, made.shard.count, made.notes["pid"]))

    kept.Store.put = noted
    arguments = [str(path), "--device", "cpu", "--output", str(folder / "out")]
    how = {"processes": ["--workers", str(workers)], "ray": ["--ray"], "alone": []}[kind]
    end = _own_ray(workers) if kind == "ray" else None
    started = time.perf_counter()
    status = own.main([*arguments, *how])
    seconds = time.perf_counter() - started
    if end is not None:
        end()
    if status:
        raise SystemExit("the command ended with an error")
    report = json.loads((folder / "out" / "report.json").read_text(encoding="utf-8"))
    tokens = report["rows"][0]["tokens"]
    return {"seconds": seconds, "stored": stored, "tokens": tokens} | memory()


def _own_ray(workers: int) -> Callable[[], None]:
    """A Ray of this machine with so many cores; what ends it."""
    import ray  # pyright: ignore[reportMissingImports]

    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {"env_vars": {"PYTHONPATH": paths}}
    ray.init(
        num_cpus=workers, include_dashboard=False, log_to_driver=False, runtime_env=environment
    )
    return ray.shutdown


def numbers(images: int, folder: Path) -> dict[str, Any]:
    """Store made-up numbers of so many samples and report them."""
    plan = plan_of(images, shard=250)
    store, rng = Store(folder, plan), np.random.default_rng(0)
    for shard in shards_of(plan):
        arrays = {
            "digest": rng.integers(0, 1 << 60, shard.count, dtype=np.uint64),
            "bundled.features": rng.normal(size=(shard.count, WIDTH)).astype("f4"),
            "bundled.right": np.ones(shard.count, dtype="f4"),
        }
        store.put(Made(shard, arrays, {}, {}))
    command.write_report(store, order_of(plan))
    return memory()


def memory() -> dict[str, float]:
    """Peak MB of this process, and of the largest of its children that have ended."""
    import resource

    found = (
        ("peak_mb", resource.RUSAGE_SELF),
        ("largest_worker_mb", resource.RUSAGE_CHILDREN),
    )
    return {name: resource.getrusage(whose).ru_maxrss / 1024 for name, whose in found}


def main() -> None:
    what, *rest = sys.argv[1:]
    if what == "harness":
        kind, workers, images, folder = rest
        found = harness(kind, int(workers), int(images), Path(folder))
    elif what == "loop":
        found = loop(int(rest[0]))
    else:
        found = numbers(int(rest[0]), Path(rest[1]))
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
