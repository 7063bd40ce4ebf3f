"""Who makes the shards: this process, a few processes of this machine, or a Ray cluster (`cluster.py`)."""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeAlias

from .problems import EvaluationError, SampleError
from .shards import Made, Shard
from .work import Order, Worker

TRIES = 3  # of a shard whose process died under it
Outcome: TypeAlias = "Made | SampleError"

_worker: Worker | EvaluationError | None = None


def alone(order: Order, shards: Sequence[Shard]) -> Iterator[Outcome]:
    """One after the other, here."""
    worker = Worker(order)
    for shard in shards:
        yield _made(worker, shard)


def _made(worker: Worker, shard: Shard) -> Outcome:
    """A shard, or why there is none; other problems end the run."""
    try:
        return worker.make(shard)
    except SampleError as error:
        return error


def _enter(order: Order, parent: int) -> None:
    """Start of a worker process. What is wrong is kept for the first shard: an error here would only break the pool."""
    global _worker
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    try:
        _worker = Worker(order)
    except EvaluationError as error:
        _worker = error


def _end_with(parent: int) -> None:
    """End this process when the one that started it is gone, however it ended."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _make(shard: Shard) -> Outcome:
    """In a worker process."""
    assert _worker is not None
    if isinstance(_worker, EvaluationError):
        raise _worker
    return _made(_worker, shard)


def processes(order: Order, shards: Sequence[Shard], count: int) -> Iterator[Outcome]:
    """Processes of this machine, each with its own model. One that is killed is replaced and its shard made again."""
    left, tries = list(shards), dict.fromkeys(shards, 0)
    while left:
        died = False
        for shard, outcome in _one_pool(order, tuple(left), count):
            if outcome is None:
                died, tries[shard] = True, tries[shard] + 1
                if tries[shard] >= TRIES:
                    raise EvaluationError(
                        f"worker processes died {TRIES} times under the same samples ({shard.start} to {shard.end - 1} of"
                        " a setting): the machine may lack memory. Lower 'batch' or the number of workers; what is finished"
                        " is kept"
                    )
                continue
            left.remove(shard)
            yield outcome
        if not died:
            return


def _one_pool(
    order: Order, shards: Sequence[Shard], count: int
) -> Iterator[tuple[Shard, "Outcome | None"]]:
    """Outcomes of one pool of processes; None for shards that were open when a process died."""
    waiting, open_ones = iter(shards), {}
    context = get_context("spawn")
    with ProcessPoolExecutor(
        count, context, initializer=_enter, initargs=(order, os.getpid())
    ) as pool:
        try:
            for shard in _take(waiting, 2 * count):
                open_ones[pool.submit(_make, shard)] = shard
            while open_ones:
                for future in wait(open_ones, return_when=FIRST_COMPLETED).done:
                    outcome = future.result()
                    yield open_ones.pop(future), outcome
                    for shard in _take(waiting, 1):
                        open_ones[pool.submit(_make, shard)] = shard
        except BrokenProcessPool:
            yield from _broken(open_ones)
        finally:
            pool.shutdown(cancel_futures=True)


def _broken(open_ones: dict[Future[Outcome], Shard]) -> Iterator[tuple[Shard, "Outcome | None"]]:
    """What is left of a pool in which a process died: finished after all, or open."""
    for future, shard in open_ones.items():
        done = future.done() and not future.cancelled() and future.exception() is None
        yield shard, future.result() if done else None


def _take(shards: Iterator[Shard], count: int) -> Iterator[Shard]:
    for _, shard in zip(range(count), shards, strict=False):
        yield shard
