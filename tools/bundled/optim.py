"""Optimisers, learning-rate schedule and weight average of the training scripts."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .workers import rank, sum_over_workers, world


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """Newton-Schulz iteration towards the nearest orthogonal matrix (Muon, K. Jordan 2024)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum for matrices and convolutions, AdamW for everything else.

    Updates of matrices are scaled to the size AdamW's have (0.2 sqrt(max side)), so that one
    learning rate serves both kinds (Liu et al. 2025, "Muon is scalable for LLM training").
    """

    def __init__(self, groups: list[dict], lr: float) -> None:
        defaults = {"lr": lr, "muon": False, "momentum": 0.95, "betas": (0.9, 0.98), "decay": 0.0}
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure=None) -> None:  # type: ignore[override]
        """One update of all parameters that have a gradient."""
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            rule = self._muon_updates if group["muon"] else self._adam_updates
            for parameter, update in zip(parameters, rule(parameters, group), strict=True):
                parameter.mul_(1 - group["lr"] * group["decay"])
                parameter.sub_(group["lr"] * update)

    def _adam_updates(self, parameters: list[Tensor], group: dict) -> list[Tensor]:
        return [_adam_update(_grad(p), self.state[p], group) for p in parameters]

    def _muon_updates(self, parameters: list[Tensor], group: dict) -> list[Tensor]:
        """Every process orthogonalises its share of the matrices; then they are put together."""
        updates = []
        for i, parameter in enumerate(parameters):
            ahead = _ahead(_grad(parameter), self.state[parameter], group)
            mine = i % world() == rank()
            updates.append(orthogonalise(ahead) if mine else torch.zeros_like(ahead))
        sum_over_workers(updates)
        return [
            (0.2 * math.sqrt(max(update.shape)) * update).view_as(parameter)
            for parameter, update in zip(parameters, updates, strict=True)
        ]


def _grad(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


def _ahead(grad: Tensor, state: dict, group: dict) -> Tensor:
    """Nesterov momentum of a gradient, as a matrix."""
    momentum = state.setdefault("momentum", torch.zeros_like(grad))
    momentum.lerp_(grad, 1 - group["momentum"])
    return grad.lerp(momentum, group["momentum"]).flatten(1)


def _adam_update(grad: Tensor, state: dict, group: dict) -> Tensor:
    first = state.setdefault("first", torch.zeros_like(grad))
    second = state.setdefault("second", torch.zeros_like(grad))
    state["count"] = count = state.get("count", 0) + 1
    a, b = group["betas"]
    first.lerp_(grad, 1 - a)
    second.lerp_(grad.square(), 1 - b)
    return (first / (1 - a**count)) / ((second / (1 - b**count)).sqrt() + 1e-8)


def muon_groups(named: Iterable[tuple[str, nn.Parameter]], decay: float, adam: set[str]) -> list:
    """Parameter groups: matrices by Muon, vectors and the names in `adam` by AdamW."""
    matrices, others = [], []
    for name, parameter in named:
        hidden = parameter.dim() >= 2 and min(parameter.flatten(1).shape) > 1 and name not in adam
        (matrices if hidden else others).append(parameter)
    return [{"params": matrices, "muon": True, "decay": decay}, {"params": others}]


def cosine(step: int, total: int, warmup: int, floor: float = 0.03) -> float:
    """Learning-rate factor: linear warm-up, then half a cosine down to `floor`."""
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


class Average:
    """Exponential average of a network's weights, with a shorter memory at the start."""

    def __init__(self, network: nn.Module, keep: float) -> None:
        self.keep, self.count = keep, 0
        self.weights = {k: v.detach().clone() for k, v in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move towards the present weights."""
        self.count += 1
        keep = min(self.keep, (1 + self.count) / (10 + self.count))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                self.weights[name].lerp_(value, 1 - keep)

    def state_dict(self) -> dict:
        """For checkpoints."""
        return {"count": self.count, "weights": self.weights}

    def load_state_dict(self, state: dict) -> None:
        """From a checkpoint."""
        self.count, self.weights = state["count"], state["weights"]
