"""Token sequences of the drawings, in several variants each, computed once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .augment import Variation, vary
from .data import Drawings
from .groups import NAMES, UPRIGHT
from .quantiser import quantise_with_strays
from .tokenizer import GRIDS

# Small moves only: a token variant must still look like a drawing somebody would make.
VARIATION = Variation(shift=2.5, scale=0.08, hue=0.25, hue_share=0.3)
STRAY_SHARE = 0.1

Tokenise = Callable[[Any, Tensor, float, torch.Generator], Tensor]
"""(tokenizer, images, share of wrong tokens, generator) -> (B, 2, L), see `tokenise`."""


@torch.no_grad()
def tokenise(tokenizer: Any, images: Tensor, stray: float, rng: torch.Generator) -> Tensor:
    """(B, 2, L): tokens that were used (a share `stray` is wrong), tokens that would be right."""
    share = torch.full((len(images),), stray)
    features = tokenizer.encode_features(images)
    used, right, _ = quantise_with_strays(tokenizer, features, GRIDS, share, rng)
    return torch.stack([used, right], 1)


def may_mirror(groups: Tensor) -> Tensor:
    """Which drawings may be mirrored: not those with text or clock hands."""
    upright = torch.tensor([NAMES.index(name) for name in UPRIGHT])
    return ~torch.isin(groups, upright)


def token_variants(
    tokenizer: Any,
    drawings: Drawings,
    count: int,
    stray: float,
    seed: int,
    how: Tokenise = tokenise,
) -> Tensor:
    """(N, count, 2, L) int16 tokens of `count` random variants of every drawing."""
    rng = torch.Generator().manual_seed(seed)
    device = next(tokenizer.parameters()).device
    mirror, found = may_mirror(drawings.groups), []
    for rows in torch.arange(len(drawings.codes)).split(64):
        variants = []
        for _ in range(count):
            images = vary(drawings.images[rows], mirror[rows], VARIATION, rng).to(device)
            variants.append(how(tokenizer, images, stray, rng).short().cpu())
        found.append(torch.stack(variants, 1))
    return torch.cat(found)


@torch.no_grad()
def plain_tokens(tokenizer: Any, drawings: Drawings, how: Tokenise = tokenise) -> Tensor:
    """(N, 1, 2, L) int16 tokens of the drawings as they are."""
    rng = torch.Generator().manual_seed(0)
    device = next(tokenizer.parameters()).device
    parts = drawings.pictures().to(device).split(64)
    found = [how(tokenizer, part, 0.0, rng).short().cpu() for part in parts]
    return torch.cat(found)[:, None]


def split_scales(tokens: Tensor) -> list[Tensor]:
    """(B, L) -> a list of (B, h*w)."""
    return list(tokens.long().split([h * w for h, w in GRIDS], dim=1))


def _variants_of_part(job: tuple[Any, Drawings, int, int, Tokenise]) -> Tensor:
    torch.set_num_threads(1)
    tokenizer, drawings, count, seed, how = job
    return token_variants(tokenizer, drawings, count, STRAY_SHARE, seed, how)


def _all_variants(
    tokenizer: Any, drawings: Drawings, count: int, workers: int, how: Tokenise
) -> Tensor:
    """`token_variants` of all drawings, shared out among processes."""
    place = torch.arange(len(drawings.codes)) * workers // len(drawings.codes)
    jobs = [(tokenizer, drawings.pick(place == i), count, 100 + i, how) for i in range(workers)]
    if workers == 1:
        return _variants_of_part(jobs[0])
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return torch.cat(list(pool.map(_variants_of_part, jobs)))


def load_or_make(
    tokenizer: Any,
    drawings: Drawings,
    path: Path,
    variants: int,
    workers: int,
    how: Tokenise = tokenise,
) -> dict[str, Tensor]:
    """Tokens of the training drawings (variants) and of the held-out ones (as they are)."""
    if not path.exists():
        train, held = drawings.split()
        stored = {
            "train": _all_variants(tokenizer, train, variants, workers, how),
            "held": plain_tokens(tokenizer, held, how),
        }
        part = path.with_suffix(".part")
        torch.save(stored, part)
        part.replace(path)
    return torch.load(path, weights_only=True)
