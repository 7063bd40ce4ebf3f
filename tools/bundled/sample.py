"""Drawing pictures with the trained pair, through the pack's own loader, loop, guidance and filters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..pack import load_pack

load_pack()
from ar_guidance.guidance.base import Run  # noqa: E402  # pyright: ignore
from ar_guidance.guidance.cfg import CFG  # noqa: E402  # pyright: ignore
from ar_guidance.guidance.chain import Chain  # noqa: E402  # pyright: ignore
from ar_guidance.guidance.schedule import Schedule  # noqa: E402  # pyright: ignore
from ar_guidance.loaders.detect import find_part  # noqa: E402  # pyright: ignore
from ar_guidance.loaders.read import read_weights  # noqa: E402  # pyright: ignore
from ar_guidance.sampling.draw import Filters, StreamDrawer, Streams  # noqa: E402  # pyright: ignore
from ar_guidance.sampling.scalewise import ScalewiseRun, generate  # noqa: E402  # pyright: ignore


@dataclass(frozen=True)
class Sampling:
    """Guidance scale (1 = none) reached at the last scale, and the usual filters."""

    scale: float = 1.0
    top_k: int = 0
    top_p: float = 1.0


def load_pair(folder: Path) -> tuple[Any, Any]:
    """Tokenizer and transformer from the released files, fp32."""
    return _load(folder / "emoji_tokenizer.safetensors", "tokenizer"), _load(
        folder / "emoji_var.safetensors", "transformer"
    )


def _load(path: Path, part: str) -> Any:
    found = find_part(read_weights(path), part)
    network = found.family.build(found.config)
    network.load_state_dict(found.tensors, strict=False)
    return network.eval()


def draw(
    pair: tuple[Any, Any], labels: Tensor, how: Sampling, seed: int, batch: int = 50
) -> Tensor:
    """Pictures (B, 3, 64, 64) in [-1, 1] for rows of the class table (B,), in batches."""
    tokenizer, transformer = pair
    grids, made = transformer.config.grids, []
    for first in range(0, len(labels), batch):
        part = labels[first : first + batch]
        job = ScalewiseRun(
            conditions=(part, transformer.null_condition(len(part))),
            batch=len(part),
            run=Run("scale", grids, published=Schedule("linear ramp")),
            chain=Chain((CFG(how.scale),)),
            draw=StreamDrawer(
                Filters(top_k=how.top_k, top_p=how.top_p), Streams(seed, len(part), first)
            ),
        )
        with torch.inference_mode():
            result = generate(transformer, tokenizer, job, torch.device("cpu"))
            made.append(tokenizer.decode(result.features))
    return torch.cat(made)


def as_uint8(pictures: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1] -> (B, H, W, 3) bytes."""
    return ((pictures + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1)
