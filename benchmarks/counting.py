"""Counts the bytes that a run's tensors take at most, whatever the processor: also of networks that are not there (meta device)."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

META = torch.device("meta")
NUMBER, COPY = torch.ops.aten._local_scalar_dense.default, torch.ops.aten._to_copy.default


class LiveBytes(TorchDispatchMode):
    """Within it, `peak` is the most bytes held at once by tensors that were made in it.

    What an operation uses inside itself and gives back is not seen. Numbers that are asked of tensors without memory are
    made up: 1 ("finite", or "so many"), and zeros for a whole tensor.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.seen: dict[int, int] = {}  # address of a storage's object -> bytes

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is NUMBER and args[0].device.type == "meta":
            return {torch.bool: True}.get(args[0].dtype, 1)
        if func is COPY and args[0].device.type == "meta" and _to_processor(kwargs):
            return torch.zeros(args[0].shape, dtype=(kwargs or {}).get("dtype") or args[0].dtype)
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, (tuple, list)) else (made,):
            if isinstance(tensor, Tensor):
                self._note(tensor, args)
        return made

    def _note(self, tensor: Tensor, args: tuple) -> None:
        storage = tensor.untyped_storage()
        if id(storage) in self.seen or any(
            isinstance(given, Tensor) and given.untyped_storage() is storage for given in args
        ):
            return
        size = storage.nbytes()
        self.seen[id(storage)] = size
        weakref.finalize(storage, self._forget, id(storage))
        self.now += size
        self.peak = max(self.peak, self.now)

    def _forget(self, number: int) -> None:
        self.now -= self.seen.pop(number, 0)


def _to_processor(settings: dict[str, Any] | None) -> bool:
    place = (settings or {}).get("device")
    return place is not None and torch.device(place).type == "cpu"


@contextmanager
def fused_attention() -> Iterator[None]:
    """Attention of tensors without memory as fused kernels compute it: nothing but its result takes memory."""
    own = F.scaled_dot_product_attention

    def fused(q: Tensor, k: Tensor, v: Tensor, *others: Any, **settings: Any) -> Tensor:
        if q.device.type != "meta":
            return own(q, k, v, *others, **settings)
        return q.new_empty(*q.shape[:-1], v.shape[-1])

    F.scaled_dot_product_attention = fused  # pyright: ignore[reportPrivateImportUsage]
    try:
        yield
    finally:
        F.scaled_dot_product_attention = own  # pyright: ignore[reportPrivateImportUsage]
