"""The scale-wise loop: K steps, each predicting all tokens of one grid, coarse to fine.

plan -> forward -> guide -> draw -> accumulate -> report
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from ..guidance.base import StepResult
from ..guidance.head import Head
from ..guidance.record import NULL_RECORDER, Recorder
from ..models.parts.cache import KVCache
from .draw import TokenSampler
from .edit import Keeping, KeptTokens
from .mixed import Job, job_conditions, mixed
from .model import ScaleCodec
from .progress import NOT_FINITE, Progress
from .weigh import weigh


class ScaleTransformer(Protocol):
    """What the loop needs of a network.

    `step` gives logits (rows, T, V), or (rows, T, D, 2) where a token is D bits. What `begin` returns has `weigh` (see
    `WeighableState`) if the network keeps a cache between scales. Two further methods are called only
    where a run asks for them: `mix_branches(state, mixes)` before the first step, when a guidance mixes the branches
    inside the network (`mixes`: per step, block -> gamma), and `residual` after the last step (see `_residual`).
    """

    def begin(self, branches: Sequence[Any], device: torch.device, cache: type[KVCache]) -> Any: ...

    def step(self, state: Any, scale: int, maps: Tensor | None, rows: int) -> Tensor: ...


@dataclass(frozen=True)
class ScalewiseJob(Job):
    """Everything a run depends on; see `Job`.

    Attributes:
        draw: (guided logits, k) -> tokens.
        kept: tokens to hold on to, or None.
        smooth: (logits, k) -> weights (B, T, V) of all code vectors, whose mixture replaces the drawn token's (VAR's
            more_smooth), or None to leave this scale's as they are.
        noise: (shape, device) -> normal numbers (B, *shape), for a network that draws a continuous residual after the
            last step; None = it draws none.
    """

    draw: TokenSampler
    kept: KeptTokens | None = None
    smooth: Callable[[Tensor, int], Tensor | None] | None = None
    noise: Callable[[tuple[int, ...], torch.device], Tensor] | None = None


@dataclass(frozen=True)
class ScalewiseResult:
    """Tokens (B, T) of every scale, kept ones in place, and the feature map (B, Z, H, W) to decode."""

    features: Tensor
    tokens: list[Tensor] = field(default_factory=list)


def generate(
    network: ScaleTransformer,
    codec: ScaleCodec,
    job: ScalewiseJob,
    device: torch.device,
    on_step: Callable[[Progress], object] = lambda progress: None,
    recorder: Recorder = NULL_RECORDER,
) -> ScalewiseResult:
    """Run the loop. `on_step` may raise to cancel: nothing outlives the call but its result.

    Raises:
        ValueError: a guidance of the chain cannot act on this run, or the network's logits are not finite.
    """
    grids, batch = job.run.grids, job.batch
    chain = job.chain.begin(job.run, recorder)
    uncond_at, network = job.chain.needs_uncond(job.run), mixed(network, job)
    state = _begin(network, job, any(uncond_at), device)
    features, keeping = codec.empty_features(batch, grids, device), Keeping(codec, job.kept, grids)
    result = ScalewiseResult(features)
    maps, finite = None, torch.ones((), dtype=torch.bool, device=device)
    for k, grid in enumerate(grids):
        weights = weigh(chain, state, k, uncond_at[k])
        logits = network.step(state, k, maps, batch * (1 + uncond_at[k]))
        head, flat = Head.of(logits), logits.flatten(2)  # guidance acts on channels
        cond, uncond = flat[:batch], flat[batch:] if uncond_at[k] else None
        guided = chain.apply(k, cond, uncond, head)
        finite &= guided.isfinite().all()
        tokens = job.draw(head.unflatten(guided), k)
        held = keeping.tokens(tokens, k)
        if uncond is not None:
            chain.observe(StepResult(k, cond, uncond, guided, held, head))
        codes = keeping.codes(_codes(codec, job, k, tokens, guided), k)
        features = features + codec.refine(codes, k, grids)
        if k + 1 == len(grids) and job.noise is not None:
            codes = keeping.codes(codec.lookup(tokens, grid), k)
            features = features + _residual(network, job, state, codes)
        features = keeping.features(features, k)
        maps = codec.next_input(features, grids[k + 1]) if k + 1 < len(grids) else None
        result.tokens.append(held)
        told = Progress(k, len(grids), grid, cond, uncond, guided, held, weights, tokens, features)
        on_step(told)
        del logits, flat, cond, uncond, guided, told  # or they would lie beside the next step's
    if not finite:
        raise ValueError(NOT_FINITE)
    return ScalewiseResult(features, result.tokens)


def _begin(network: ScaleTransformer, job: ScalewiseJob, uncond: bool, device: torch.device) -> Any:
    """The network's state for this run."""
    state = network.begin(job_conditions(job, uncond), device, job.cache)
    mixes = job.chain.mixes(job.run)
    if any(mixes):
        network.mix_branches(state, mixes)  # pyright: ignore[reportAttributeAccessIssue]
    return state


def _residual(network: Any, job: ScalewiseJob, state: Any, codes: Tensor) -> Tensor:
    """What the codes (B, Z, h, w) of the last scale leave out, (B, Z, H, W), drawn by the network itself (HART).

    `network.residual` is given the codes the tokens stand for, the strength of guidance, and where noise comes from.
    """
    return network.residual(state, codes, job.chain.strength(job.run.count - 1, job.run), job.noise)


def _codes(codec: ScaleCodec, job: ScalewiseJob, k: int, tokens: Tensor, guided: Tensor) -> Tensor:
    """Code vectors (B, Z, h, w) of this scale: drawn, or smoothed."""
    grid = job.run.grids[k]
    weights = None if job.smooth is None else job.smooth(guided, k)
    return codec.lookup(tokens, grid) if weights is None else codec.mix(weights, grid)
