"""A plan small enough for a test."""

import copy
from pathlib import Path
from typing import Any

import yaml

SMALL: dict[str, Any] = {
    "name": "small",
    "models": {"scale": {"bundled": "scale"}},
    "conditions": {"classes": "training"},
    "seeds": 2,
    "each": 4,
    "batch": 2,
    "shard": 2,
    "blocks": 4,
    "sampler": {"top_p": 0.95, "top_k": 0},
    "judges": ["bundled"],
    "rows": [{"label": "CFG", "strengths": [1, 3], "chain": [{"cfg": {"scale": "$x"}}]}],
}


def small(**changes: Any) -> dict[str, Any]:
    """The plan with other entries."""
    return copy.deepcopy(SMALL) | changes


def written(folder: Path, **changes: Any) -> str:
    """The plan as a file; its path."""
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(small(**changes), sort_keys=False), encoding="utf-8")
    return str(path)


def numbers(folder: Path) -> dict[str, bytes]:
    """What a finished run has written, to the byte."""
    return {name: (folder / name).read_bytes() for name in ("report.json", "report.md")}


def shard_files(folder: Path) -> list[Path]:
    """The files of its samples, in order."""
    return sorted((folder / "samples").rglob("*.safetensors"))
