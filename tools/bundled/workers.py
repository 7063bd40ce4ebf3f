"""Two or more processes that train one network together, each on a thread of its own.

On a small CPU this is faster than one process with many threads. Gradients are averaged with one
flat all-reduce. With a CUDA device there is one process, and nothing is reduced.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn


def launch(job: Callable[..., None], count: int, *args: object) -> None:
    """Run `job(rank, *args)` in `count` processes that can talk to each other."""
    if count == 1:
        job(0, *args)
        return
    with tempfile.TemporaryDirectory() as folder:
        meeting = f"file://{folder}/meeting"
        torch.multiprocessing.spawn(_enter, (job, count, meeting, args), nprocs=count)


def _enter(rank: int, job: Callable[..., None], count: int, meeting: str, args: tuple) -> None:
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(1)
    _stay_on_core(rank)
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=count)
    job(rank, *args)
    dist.destroy_process_group()


def _stay_on_core(rank: int) -> None:
    """One core each: the workers wait for each other, so two on one core cost half the speed."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[rank % len(cores)]})


def world() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Number of this process."""
    return dist.get_rank() if dist.is_initialized() else 0


def sum_over_workers(tensors: Iterable[Tensor], scale: float = 1.0) -> None:
    """Replace every tensor by its sum over the processes times `scale`, with one message."""
    parts = list(tensors)
    if world() == 1 or not parts:
        return
    flat = torch.cat([part.reshape(-1) for part in parts])
    dist.all_reduce(flat)
    flat *= scale
    for part, total in zip(parts, flat.split([p.numel() for p in parts]), strict=True):
        part.copy_(total.view(part.shape))


def mean_over_workers(tensors: Iterable[Tensor]) -> None:
    """Replace every tensor by its mean over the processes, with one message."""
    sum_over_workers(tensors, 1 / world())


def mean_gradients(network: nn.Module, extra: Iterable[Tensor] = ()) -> None:
    """Average the gradients (and `extra`) over the processes."""
    grads = [p.grad for p in network.parameters() if p.grad is not None]
    mean_over_workers([*grads, *extra])


def from_first(tensor: Tensor) -> None:
    """Replace a tensor by the first process's."""
    if world() > 1:
        dist.broadcast(tensor, 0)
