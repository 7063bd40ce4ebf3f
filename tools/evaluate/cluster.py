"""Shards on a Ray cluster: Ray schedules, moves and retries; here is only what a task is and what its end means.

A task is one shard. A worker process keeps its model from task to task. Tasks of a node that is lost run again elsewhere, nodes
that join are given waiting ones, and what comes back are numbers (and what the plan keeps), not images.
"""

import os
import socket
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from ..pack import ROOT
from .problems import EvaluationError, SampleError
from .runners import Outcome
from .shards import Shard
from .work import Order, Worker

RETRIES = 5  # of a shard whose worker or node died under it
KNOCK = 10  # seconds a cluster may take to answer at all
PATIENCE = 60  # seconds without a finished shard after which the cluster's state is told

_workers: list[Worker] = []  # of this process: none or one


def cluster(order: Order, shards: Sequence[Shard], address: str) -> Iterator[Outcome]:
    """The shards as they come.

    Args:
        address: of a running cluster ("auto" finds one on this machine), or "" for a Ray of our own on this machine; inside
            of `ray job submit` always the job's cluster.

    Raises:
        EvaluationError: Ray is not installed or not there, a worker has another version, or died again and again.
    """
    ray = _ray()
    started = _connect(ray, address)
    try:
        yield from _outcomes(ray, order, shards)
    finally:
        if started:
            ray.shutdown()


def _ray() -> Any:
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise EvaluationError(
            "--ray needs Ray: pip install -r tools/evaluate/requirements.txt. Without it, --workers N uses the cores of this"
            " machine"
        ) from error
    return ray


def _connect(ray: Any, address: str) -> bool:
    """Join the cluster, or start one; whether we did either."""
    if ray.is_initialized():
        return False
    joined = address or os.environ.get("RAY_ADDRESS")
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    in_job = (
        "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ
    )  # whose working_dir every worker has already
    options: dict[str, Any] = {} if in_job else {"runtime_env": {"env_vars": {"PYTHONPATH": paths}}}
    try:
        _knock(joined or "")
        ray.init(joined or None, log_to_driver=False, **options)
    except OSError as error:
        raise EvaluationError(
            f"no Ray cluster answers at '{joined}': start one with 'ray start --head', or leave the address out to use this"
            f" machine alone ({str(error).splitlines()[0]})"
        ) from error
    return True


def _knock(address: str) -> None:
    """Raise OSError where nothing listens: Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    if port.isdigit() and "/" not in address:
        socket.create_connection((host, int(port)), timeout=KNOCK).close()


def _outcomes(ray: Any, order: Order, shards: Sequence[Shard]) -> Iterator[Outcome]:
    on_gpu = order.device.startswith("cuda")
    share = {"num_gpus": 1} if on_gpu else {"num_cpus": order.plan.threads}
    # max_calls = 0: processes that used a GPU are kept as well, and with them the model.
    make = ray.remote(max_retries=RETRIES, max_calls=0, **share)(make_shard)
    shared = ray.put(order)
    open_ones = {make.remote(shared, shard): shard for shard in shards}
    while open_ones:
        done, _ = ray.wait(list(open_ones), num_returns=1, timeout=PATIENCE)
        if not done:
            _tell_state(ray, len(open_ones))
        for reference in done:
            yield _outcome(ray, reference, open_ones.pop(reference))


def _outcome(ray: Any, reference: Any, shard: Shard) -> Outcome:
    """What a task came to."""
    try:
        outcome = ray.get(reference)
    except ray.exceptions.RayTaskError:  # an error of ours, with the worker's own traceback
        raise
    except ray.exceptions.RayError as error:
        raise EvaluationError(
            f"workers died {RETRIES + 1} times under the same samples ({shard.start} to {shard.end - 1} of a setting):"
            f" {str(error).splitlines()[0]}. What is finished is kept"
        ) from error
    if isinstance(outcome, EvaluationError) and not isinstance(outcome, SampleError):
        raise outcome
    return outcome


def make_shard(order: Order, shard: Shard) -> "Outcome | EvaluationError":
    """A task. The process that runs it keeps its worker, and so its model, for the next one."""
    try:
        if not _workers or _workers[0].order != order:
            _workers[:] = [Worker(order)]
        return _workers[0].make(shard)
    except EvaluationError as error:
        return error


def _tell_state(ray: Any, waiting: int) -> None:
    nodes = [node for node in ray.nodes() if node["Alive"]]
    there = ray.cluster_resources()
    print(
        f"no shard has finished for {PATIENCE} s: {waiting} to go, {len(nodes)} nodes with {there.get('CPU', 0):g} cores and"
        f" {there.get('GPU', 0):g} GPUs",
        file=sys.stderr,
        flush=True,
    )
