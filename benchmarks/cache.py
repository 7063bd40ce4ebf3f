#!/usr/bin/env python3
"""Keys and values in 8 bits: what it does to the bundled token-wise model's tokens, and what it saves of the released sizes.

    python -m benchmarks.cache [--images 100] [--json FILE]

CFG 4, no filter. "same draw": of tokens drawn after the same tokens, with the same random numbers; "same token": of two images drawn
freely, which part for good at the first token that differs. "logits apart": of the guided logits after the same tokens, root mean
square in units of their standard deviation. Seconds are of the two in turns. Bytes are those of one image with guidance, in bfloat16.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from ar_guidance.loaders.families import TRANSFORMERS
from ar_guidance.models.parts.cache import KVCache
from ar_guidance.models.parts.eight_bit_cache import EightBitCache
from ar_guidance.sampling.draw import AddressedSampler, Filters, Streams
from ar_guidance.sampling.edit import KeptSequence
from ar_guidance.sampling.progress import Progress
from ar_guidance.sampling.tokenwise import generate
from torch import Tensor

from .harness import bundled, in_turns, report
from .parallel import CPU, job
from .releases import RELEASES

BATCH = 20
KINDS: dict[str, type[KVCache]] = {"full": KVCache, "8": EightBitCache}
LONG = {"llamagen", "llamagen_text", "simplear", "lumina_mgpt2", "var", "infinity", "hart"}


@torch.inference_mode()
def drawn(network: Any, seed: int, batch: int, cache: type[KVCache]) -> Tensor:
    """Tokens (B, T) of a run."""
    return generate(network, replace(job(network, batch, seed, False), cache=cache), CPU).tokens


@torch.inference_mode()
def guided_after(network: Any, tokens: Tensor, cache: type[KVCache]) -> Tensor:
    """Guided logits (B, T, V) of every position after given tokens."""
    seen: list[Tensor] = []

    def note(progress: Progress) -> None:
        seen.append(progress.guided.clone())

    kept = KeptSequence(tokens, torch.ones(tokens.shape[1], dtype=torch.bool))
    asked = replace(job(network, len(tokens), 0, False, kept), cache=cache)
    generate(network, asked, CPU, note)
    return torch.cat(seen, dim=1)


def effect(images: int) -> dict[str, Any]:
    """What changes in images of the bundled token-wise model."""
    network, rows = bundled("emoji_llamagen", "transformer"), []
    for seed in range(math.ceil(images / BATCH)):
        plain, eight = (drawn(network, seed, BATCH, kind) for kind in KINDS.values())
        exact, near = (guided_after(network, plain, kind) for kind in KINDS.values())
        again = AddressedSampler(Filters(), Streams(seed, BATCH))(near, 0)
        apart = (near - exact).square().mean().sqrt() / exact.std()
        same = plain == eight
        rows.append(
            (apart, (again == plain).float().mean(), same.float().mean(), same.all(1).sum())
        )
    apart, draw, token, whole = (torch.stack(column).float() for column in zip(*rows, strict=True))
    runs: dict[str, Callable[[], Any]] = {
        name: lambda kind=kind: drawn(network, 0, 1, kind) for name, kind in KINDS.items()
    }
    seconds = in_turns(runs)
    return {
        "images": BATCH * len(rows),
        "logits apart": float(apart.mean()),
        "same draw": float(draw.mean()),
        "same token": float(token.mean()),
        "same images": int(whole.sum()),
        "8 bits s / full s": seconds["8"] / seconds["full"],
    }


def saved(name: str, place: int) -> dict[str, Any]:
    """What the keys and values of one image of a released model take."""
    release = RELEASES[name][place]
    family = next(one for one in TRANSFORMERS if one.name == name)
    network: Any = family.build(
        release.transformer, dtype=torch.bfloat16, device=torch.device("meta")
    )
    full = network.cache_bytes(2)
    eight = network.cache_bytes(2, cache=EightBitCache)
    return {"model": release.name, "full MB": full / 2**20, "8 bits MB": eight / 2**20}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=100, help="made in batches of 20")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    report("keys and values, released sizes", [saved(n, -1) for n in RELEASES if n in LONG])
    report("bundled token-wise model", [effect(options.images)], options.json)


if __name__ == "__main__":
    main()
