"""Writing files whole or not at all, resumable training states, and a log of numbers."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor


def save_state(path: Path, state: dict) -> None:
    """Store a training state; an interrupted write leaves the previous file in place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def load_state(path: Path) -> dict | None:
    """The stored training state, or None when there is none."""
    return torch.load(path, weights_only=True) if path.exists() else None


def save_weights(path: Path, weights: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Store weights as fp16 safetensors (integers stay as they are)."""
    half = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in weights.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file(half, part, metadata=dict(metadata))
    part.chmod(0o644)
    part.replace(path)


class Log:
    """One JSON object a line, and the same on the screen."""

    def __init__(self, path: Path, enabled: bool = True) -> None:
        self.path, self.enabled, self.start = path, enabled, time.time()
        path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, **numbers: object) -> None:
        """Append a line."""
        if not self.enabled:
            return
        rounded = {k: round(v, 5) if isinstance(v, float) else v for k, v in numbers.items()}
        line = json.dumps({"seconds": round(time.time() - self.start, 1), **rounded})
        print(line, flush=True)
        with self.path.open("a") as file:
            file.write(line + "\n")
