"""What the evaluation harness costs beside the loop, and whether its memory stays flat.

    python -m benchmarks.evaluate [--samples 2000]

The same samples twice, shard by shard in turn: by the bare loop (guided generation and decoding), and by a worker of
`tools.evaluate` whose numbers are stored. Compared is processor time, which other work on the machine does not change much. Then
the store's and the report's memory, with made-up numbers for a tenth of `--numbers` samples and for all.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from ar_guidance.tools.evaluate import command
from ar_guidance.tools.evaluate.conditions import conditions_of
from ar_guidance.tools.evaluate.plan import Plan
from ar_guidance.tools.evaluate.plan_file import make_plan
from ar_guidance.tools.evaluate.shards import Made, shards_of
from ar_guidance.tools.evaluate.store import Store
from ar_guidance.tools.evaluate.version import version
from ar_guidance.tools.evaluate.work import Order, Worker, decode, generate

WIDTH = 128


def plan_of(samples: int, shard: int = 250, batch: int = 50) -> Plan:
    """CFG 3 on the bundled scale-wise model."""
    return make_plan(
        {
            "models": {"scale": {"bundled": "scale"}},
            "conditions": {"classes": "training"},
            "seeds": 1,
            "each": samples,
            "batch": batch,
            "shard": shard,
            "sampler": {"top_p": 0.95, "top_k": 0},
            "rows": [{"label": "CFG", "strength": 3, "chain": [{"cfg": {"scale": 3}}]}],
        }
    )


def order_of(plan: Plan) -> Order:
    return Order(plan, "", "cpu", version(), command.check(plan, Path()))


def seconds(work) -> float:
    """Processor time of a call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def cost(samples: int, folder: Path) -> dict[str, float]:
    """Processor seconds per sample: of the loop, of the judge, and of the whole worker with its store."""
    plan = plan_of(samples)
    order, store = order_of(plan), Store(folder, plan)
    store.begin(order.version, order.hashes)
    worker, setting = Worker(order), plan.settings[0]
    model, judge = worker.loaded("scale"), worker.judge("bundled")
    conditions = conditions_of(setting.conditions, plan.each, Path())
    loop, judging, whole = 0.0, 0.0, 0.0
    for shard in shards_of(plan):
        whole += seconds(lambda: store.put(worker.make(shard)))  # noqa: B023
        for numbers in shard.batches(plan.batch):
            made = []

            @torch.inference_mode()
            def bare() -> None:
                addresses = [plan.address(n) for n in numbers]  # noqa: B023
                asked = conditions.of(model, addresses)
                features = generate(model, setting, asked, addresses).features
                made.append((decode(model, features), asked))  # noqa: B023

            loop += seconds(bare)
            judging += seconds(lambda: judge.look(*made[0]))  # noqa: B023
    return {"loop": loop / samples, "judge": judging / samples, "whole": whole / samples}


def store_numbers(samples: int, folder: Path) -> None:
    """Store made-up numbers of so many samples."""
    plan = plan_of(samples)
    store, rng = Store(folder, plan), np.random.default_rng(0)
    for shard in shards_of(plan):
        arrays = {
            "digest": rng.integers(0, 1 << 60, shard.count, dtype=np.uint64),
            "bundled.features": rng.normal(size=(shard.count, WIDTH)).astype("f4"),
            "bundled.right": np.ones(shard.count, dtype="f4"),
        }
        store.put(Made(shard, arrays, {}, {}))


def report_memory(samples: int) -> float:
    """Peak MB of a process that writes and reports so many samples."""
    code = (
        "import sys, resource, tempfile; from pathlib import Path; import tools\n"
        "from benchmarks import evaluate as b\n"
        "folder = Path(tempfile.mkdtemp()); n = int(sys.argv[1]); b.store_numbers(n, folder)\n"
        "plan = b.plan_of(n); b.command.write_report(b.Store(folder, plan), b.order_of(plan))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    line = [sys.executable, "-c", code, str(samples)]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--numbers", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = cost(options.samples, Path(folder))
    rest = found["whole"] - found["loop"] - found["judge"]
    found |= {"harness": rest, "share": rest / found["whole"]}
    print(json.dumps({name: round(value, 5) for name, value in found.items()}))
    for count in (options.numbers // 10, options.numbers, 10 * options.numbers):
        print(f"{count} samples: {report_memory(count):.0f} MB")


if __name__ == "__main__":
    main()
