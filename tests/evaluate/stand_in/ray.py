"""The calls `tools/evaluate/cluster.py` makes of Ray, in one process, for tests where Ray is not installed.

What goes to a task and what comes back is pickled, as it is between machines; the task that was given last is done first.
"""

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any


class RayError(Exception):
    """A worker or node that is gone."""


class RayTaskError(RayError):
    """An error inside of a task."""


exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)
began: list[tuple[Any, dict[str, Any]]] = []  # what `init` was given


@dataclass(eq=False)
class Reference:
    """Something that is somewhere."""

    content: Callable[[], bytes]


def is_initialized() -> bool:
    return False


def init(address: str | None = None, **options: Any) -> None:
    began.append((address, options))


def shutdown() -> None:
    began.clear()


def put(value: Any) -> Reference:
    content = pickle.dumps(value)
    return Reference(lambda: content)


def get(reference: Reference) -> Any:
    return pickle.loads(reference.content())


def remote(**_: Any) -> Callable[[Callable[..., Any]], Any]:
    """A decorator: the task, whose `remote` gives a reference to what it will make."""

    def task(function: Callable[..., Any]) -> Any:
        def given(*arguments: Any) -> Reference:
            sent = [one if isinstance(one, Reference) else put(one) for one in arguments]
            return Reference(lambda: pickle.dumps(function(*map(get, sent))))

        return SimpleNamespace(remote=given)

    return task


def wait(
    references: Sequence[Reference], num_returns: int, timeout: float
) -> tuple[list[Reference], list[Reference]]:
    return list(references[-num_returns:]), list(references[:-num_returns])
