"""The output folder: every finished shard is a file of its own, complete or not there.

plan.json                   what is being made, by which version of the pack, with which weights
samples/SETTING/000000-000249.safetensors    numbers of samples 0 to 249
kept/SETTING/...            images or tokens, where the plan keeps them
latency.json, report.json, report.md, figures/
"""

import errno
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from .plan import Plan, differences
from .problems import EvaluationError
from .shards import Made, Shard

PLAN = "plan.json"


@dataclass(frozen=True)
class Store:
    """Where a plan's samples are."""

    folder: Path
    plan: Plan

    @contextmanager
    def locked(self) -> Iterator[None]:
        """No second run into the same folder."""
        _make(self.folder)
        try:
            with FileLock(self.folder / ".lock", timeout=0):
                yield
        except Timeout as error:
            raise EvaluationError(
                f"{self.folder}: another run is writing here. Wait for it, or give another folder with --output"
            ) from error

    def begin(self, version: str, hashes: Mapping[str, Any]) -> None:
        """Note what is made here, or see that it is what was being made.

        Raises:
            EvaluationError: the folder belongs to another plan, version or weights; the message says what differs.
        """
        asked = {"plan": self.plan.identity(), "version": version, "weights": dict(hashes)}
        path = self.folder / PLAN
        if not path.exists():
            self.write(path, json.dumps(asked, indent=1).encode())
            return
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise EvaluationError(
                f"{path}: cannot be read: {error}. Give another --output"
            ) from error
        changed = differences(stored, json.loads(json.dumps(asked)))
        if changed:
            shown = "\n  ".join(
                changed[:12] + ([f"and {len(changed) - 12} more"] if changed[12:] else [])
            )
            raise EvaluationError(
                f"{self.folder}: the samples here were made otherwise, and mixing both would make numbers nobody can"
                f" read. They stay as they are. What differs:\n  {shown}\nGo on with the plan as it was, or give another"
                " folder with --output"
            )

    def path(self, shard: Shard) -> Path:
        """The file of a shard."""
        name = f"{shard.start:06d}-{shard.end - 1:06d}.safetensors"
        return self.folder / "samples" / self.plan.settings[shard.setting].slug / name

    def has(self, shard: Shard) -> bool:
        """Whether a shard is finished; a file that cannot be read is removed, so that it is made again."""
        path = self.path(shard)
        if not path.exists():
            return False
        try:
            with safe_open(path, "np") as file:
                if file.get_slice("digest").get_shape() == [shard.count]:
                    return True
        except (SafetensorError, OSError):
            pass
        path.unlink()
        return False

    def put(self, made: Made) -> None:
        """Store a finished shard: what is kept of the samples first, the shard's own file last.

        Raises:
            EvaluationError: the disk is full or may not be written to.
        """
        path = self.path(made.shard)
        kept = self.folder / "kept" / path.parent.name
        for name, content in made.files.items():
            self.write(kept / name, content)
        arrays = {name: np.ascontiguousarray(values) for name, values in made.arrays.items()}
        self.write(path, save(arrays, metadata=dict(made.notes)))

    def write(self, path: Path, content: bytes) -> None:
        """Write a file whole or not at all."""
        write_whole(path, content)

    def read(self, shard: Shard, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Numbers of a finished shard; `names`: only these, those there are."""
        with safe_open(self.path(shard), "np") as file:
            there = list(file.keys())
            wanted = there if names is None else [name for name in names if name in there]
            return {name: file.get_tensor(name) for name in wanted}

    def names(self, shard: Shard) -> list[str]:
        """Names of the numbers of a finished shard."""
        with safe_open(self.path(shard), "np") as file:
            return list(file.keys())

    def notes(self, shard: Shard) -> dict[str, str]:
        """Where and with what a finished shard was made."""
        with safe_open(self.path(shard), "np") as file:
            return dict(file.metadata() or {})


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        EvaluationError: the disk is full or may not be written to.
    """
    _make(path.parent)
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise EvaluationError(cannot_write(path, error)) from error


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EvaluationError(cannot_write(folder, error)) from error


def cannot_write(path: object, error: OSError) -> str:
    """Why a file could not be written, and what stays."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    what = "the disk is full" if full else f"{error.strerror or error}"
    return (
        f"{path}: cannot be written: {what}. All finished samples are kept: make room and run the same command"
        " again, it goes on where it stopped"
    )
