"""Fitting the codebook of the multi-scale quantiser: k-means start, moving averages, revival."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .workers import from_first, mean_over_workers

REVIVE_EVERY, REVIVE_BELOW = 20, 0.05
STRAY_CHOICES = 6  # a stray token is one of the 2nd to 6th nearest codes


@torch.no_grad()
def pooled_residuals(tokenizer: Any, features: Tensor, grids: Sequence, coded: bool) -> Tensor:
    """What the codebook has to represent: the pooled rests of all scales, (N, Z).

    With `coded` the rests are those left by the present codebook, otherwise by ideal codes.
    """
    rest, found = features, []
    for scale, grid in enumerate(grids):
        pooled = torch.nn.functional.interpolate(rest, size=grid, mode="area")
        found.append(pooled.flatten(2).transpose(1, 2).flatten(0, 1))
        codes = tokenizer.lookup(tokenizer.nearest_code(pooled), grid) if coded else pooled
        rest = rest - tokenizer.refine(codes, scale, grids)
    return torch.cat(found)


@torch.no_grad()
def start_codebook(tokenizer: Any, features: Tensor, grids: Sequence, rounds: int = 12) -> None:
    """K-means on the pooled residuals, repeated once the rests of real codes are known."""
    for conv in tokenizer.quantize.quant_resi.qresi_ls:
        torch.nn.init.dirac_(conv.weight)
        torch.nn.init.zeros_(conv.bias)
    table = tokenizer.quantize.embedding.weight
    for coded in (False, True):
        points = pooled_residuals(tokenizer, features, grids, coded)
        if not coded:
            # Ideal codes leave nothing for the repeated last scale: imitate its small rests.
            points = torch.cat([points, 0.3 * points[::2]])
        centres = points[torch.randperm(len(points))[: len(table)]].clone()
        for _ in range(rounds):
            centres = kmeans_round(points, centres)
        table.copy_(centres)
    from_first(table.data)


def kmeans_round(points: Tensor, centres: Tensor) -> Tensor:
    owner = torch.cat([_nearest(part, centres) for part in points.split(8192)])
    count = torch.bincount(owner, minlength=len(centres)).float()
    total = torch.zeros_like(centres).index_add_(0, owner, points)
    strays = points[torch.randint(len(points), (len(centres),))]
    return torch.where((count > 0)[:, None], total / count.clamp(min=1)[:, None], strays)


def _nearest(points: Tensor, centres: Tensor) -> Tensor:
    return (centres.square().sum(1) - 2 * points @ centres.T).argmin(1)


@torch.no_grad()
def quantise_with_strays(
    tokenizer: Any, features: Tensor, grids: Sequence, share: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens that were used (B, L), tokens that would have been right (B, L), the feature map.

    Of the used tokens a share (B,) is another of the nearest codes, and later scales correct for
    it: the transformer learns to recover from its own slips (as in Infinity, arXiv 2412.04431),
    the decoder to bear them.
    """
    rest, used, right = features, [], []
    codes = tokenizer.quantize.embedding.weight
    for scale, grid in enumerate(grids):
        pooled = torch.nn.functional.interpolate(rest, size=grid, mode="area")
        flat = pooled.flatten(2).transpose(1, 2)  # (B, T, Z)
        near = (codes.square().sum(1) - 2 * flat @ codes.T).topk(STRAY_CHOICES, largest=False)[1]
        pick = torch.randint(1, STRAY_CHOICES, near.shape[:2], generator=rng)
        pick = torch.where(torch.rand(pick.shape, generator=rng) < share[:, None], pick, 0)
        right.append(near[..., 0])
        used.append(near.gather(-1, pick.to(near.device)[..., None])[..., 0])
        rest = rest - tokenizer.refine(tokenizer.lookup(used[-1], grid), scale, grids)
    return torch.cat(used, 1), torch.cat(right, 1), features - rest


class CodebookAverage:
    """Codes follow the moving mean of the residuals assigned to them; idle codes are revived."""

    def __init__(self, tokenizer: Any, keep: float = 0.99) -> None:
        table = tokenizer.quantize.embedding.weight.data
        self.keep, self.steps = keep, 0
        self.count = torch.ones(len(table), device=table.device)
        self.total = table.clone()

    @torch.no_grad()
    def update(self, tokenizer: Any, features: Tensor, grids: Sequence) -> float:
        """Move the codebook after a training step; returns the share of codes in use."""
        table = tokenizer.quantize.embedding.weight.data
        return self.move(table, pooled_residuals(tokenizer, features, grids, coded=True))

    @torch.no_grad()
    def move(self, table: Tensor, points: Tensor) -> float:
        """Move the codes (V, Z) towards the points (N, Z) nearest to them; returns the share in use."""
        owner = _nearest(points, table)
        count = torch.bincount(owner, minlength=len(table)).float()
        total = torch.zeros_like(table).index_add_(0, owner, points)
        mean_over_workers([count, total])
        scale = len(table) / count.sum()  # mean use of a code is one
        self.count.lerp_(count * scale, 1 - self.keep)
        self.total.lerp_(total * scale, 1 - self.keep)
        table.copy_(self.total / self.count.clamp(min=1e-3)[:, None])
        self.steps += 1
        if self.steps % REVIVE_EVERY == 0:
            self._revive(table, points)
        return float((self.count > REVIVE_BELOW).float().mean())

    def _revive(self, table: Tensor, points: Tensor) -> None:
        idle = self.count < REVIVE_BELOW
        strays = points[torch.randint(len(points), (len(table),), device=points.device)]
        from_first(strays)
        table[idle] = strays[idle]
        self.count[idle], self.total[idle] = 0.5, 0.5 * strays[idle]
        from_first(table)

    def state_dict(self) -> dict:
        """For checkpoints."""
        return {"steps": self.steps, "count": self.count, "total": self.total}

    def load_state_dict(self, state: dict) -> None:
        """From a checkpoint."""
        self.steps, self.count, self.total = state["steps"], state["count"], state["total"]
