"""How long one pass takes: mean and standard deviation over many runs, as papers report it."""

import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from .conditions import conditions_of
from .plan import Setting
from .store import Store
from .work import Order, Worker, decode, device_name, generate

FILE = "latency.json"


@dataclass(frozen=True)
class Latency:
    """Seconds from the condition to the decoded images.

    Attributes:
        mean, std: over the runs, warm-up left out.
        parameters: of the transformer.
        device: where.
    """

    mean: float
    std: float
    runs: int
    batch: int
    parameters: int
    device: str


def stored(store: Store) -> dict[str, Latency]:
    """By slug of the setting."""
    path = store.folder / FILE
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {slug: Latency(**one) for slug, one in content.items()}


def measure_all(store: Store, order: Order, tell: Callable[[str], None]) -> dict[str, Latency]:
    """Every setting the plan wants timed and that is not yet, one after the other, on this machine."""
    found, worker = stored(store), None
    for setting in order.plan.settings if order.plan.latency else ():
        if setting.slug in found:
            continue
        worker = worker or Worker(order)
        found[setting.slug] = measure_one(worker, setting, order.plan.latency)
        content = {slug: asdict(one) for slug, one in found.items()}
        store.write(store.folder / FILE, json.dumps(content, indent=1).encode())
        tell(f"latency of {setting.name}: {found[setting.slug].mean:.4f} s")
    return found


@torch.inference_mode()
def measure_one(worker: Worker, setting: Setting, how: Mapping[str, int]) -> Latency:
    """Mean and standard deviation over `how["runs"]` runs of `how["batch"]` images."""
    plan, model = worker.order.plan, worker.loaded(setting.model)
    conditions = conditions_of(setting.conditions, plan.each, Path(worker.order.weights))
    samples = [plan.address(n % plan.samples) for n in range(how["batch"])]
    asked, seconds = conditions.of(model, samples), []
    for run in range(how["warm_up"] + how["runs"]):
        started = time.perf_counter()
        decode(model, generate(model, setting, asked, samples).features)
        if model.device.type == "cuda":
            torch.cuda.synchronize(model.device)
        if run >= how["warm_up"]:
            seconds.append(time.perf_counter() - started)
    spread = statistics.stdev(seconds) if len(seconds) > 1 else float("nan")
    return Latency(
        statistics.mean(seconds),
        spread,
        how["runs"],
        how["batch"],
        model.parameters,
        device_name(model.device),
    )


def table(store: Store, found: Mapping[str, Latency]) -> list[str]:
    """Markdown: one line per setting."""
    lines = [
        "| model | setting | seconds per pass | runs | batch | parameters | device |",
        "|---|---|---|---|---|---|---|",
    ]
    for setting in store.plan.settings:
        if setting.slug in found:
            one = found[setting.slug]
            cells = (
                f"{one.mean:.4f} ± {one.std:.4f} | {one.runs} | {one.batch} |"
                f" {one.parameters / 1e6:.1f} M | {one.device}"
            )
            lines.append(f"| {setting.model} | {setting.name} | {cells} |")
    return lines if len(lines) > 2 else []
