"""The loop of discrete diffusion (VQ-Diffusion): all tokens of one grid, masked at first, are predicted at every step.

predict -> guide -> truncate -> go one step back -> draw -> keep -> report

Letters: B images, N positions, V tokens without the mask, whose number is V; T steps of the diffusion, t from T-1 to 0.
Guidance acts on log-probabilities of the image's tokens, clamped to [-70, 0]; the mask's is appended behind it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ..guidance.head import LOWEST, normalised
from ..guidance.record import NULL_RECORDER, Recorder
from ..models.parts.cache import KVCache
from .draw import Filters, Noise
from .edit import KeptSequence
from .mixed import Job, job_conditions, mixed
from .reveal import Purity, Revealing


class Diffusion(Protocol):
    """The chances of every step (`models.vq_diffusion.transitions`)."""

    @property
    def steps(self) -> int: ...

    def posterior(self, start: Tensor, tokens: Tensor, t: int) -> Tensor: ...


class DiscreteNetwork(Protocol):
    """What the loop needs of a network."""

    def begin(self, branches: Sequence[Any], device: torch.device, cache: type[KVCache]) -> Any: ...

    def step(self, state: Any, t: int, tokens: Tensor, rows: int) -> Tensor: ...

    def transitions(self, device: torch.device) -> Diffusion: ...


@dataclass(frozen=True)
class Progress:
    """What is known after a step: for progress bars, previews and tests."""

    index: int
    count: int
    t: int
    before: Tensor  # tokens (B, N) as the network read them
    cond: Tensor  # log-probabilities (B, N, V)
    uncond: Tensor | None
    guided: Tensor
    truncated: Tensor  # (B, N, V + 1)
    posterior: Tensor | None  # (B, N, V + 1), of steps that are drawn from it
    tokens: Tensor  # (B, N) after the step

    @property
    def guess(self) -> Tensor:
        """Tokens (B, N): those that are there, and for the masked ones the likeliest."""
        vocab = self.guided.shape[-1]
        return torch.where(self.tokens == vocab, self.guided.argmax(-1), self.tokens)


@dataclass(frozen=True)
class DiscreteJob(Job):
    """Everything a run depends on; see `Job`.

    Attributes:
        filters: which tokens a prediction may name; its top_p is the truncation rate.
        draw: (log-probabilities (B, N, V + 1), call) -> tokens (B, N).
        visits: steps t in order.
        skip: how much further back than one every visit goes (fast sampling).
        purity: reveal the surest places first, or None.
        kept: tokens to hold on to, or None.
    """

    filters: Filters
    draw: Callable[[Tensor, int], Tensor]
    visits: tuple[int, ...]
    skip: int = 0
    purity: Purity | None = None
    kept: KeptSequence | None = None

    @property
    def order(self) -> tuple[int, ...]:
        return self.visits


@dataclass(frozen=True)
class DiscreteResult:
    """Tokens (B, N)."""

    tokens: Tensor


@dataclass(frozen=True)
class GumbelSampler:
    """One uniform number of the image's own stream per position and inverse CDF; temperature 0 = the likeliest."""

    noise: Noise
    greedy: bool = False

    def __call__(self, logs: Tensor, call: int) -> Tensor:
        if self.greedy:
            return logs.argmax(-1)
        cdf = logs.softmax(-1).cumsum(-1)
        uniforms = self.noise.uniforms(tuple(logs.shape[1:-1]), logs.device)[..., None]
        return torch.searchsorted(cdf, uniforms * cdf[..., -1:])[..., 0].clamp_max(
            logs.shape[-1] - 1
        )


def log_probabilities(logits: Tensor) -> Tensor:
    """log softmax (..., V) of logits, computed in fp64 and clamped to [-70, 0], fp32."""
    return logits.double().log_softmax(-1).float().clamp(LOWEST, 0.0)


def with_mask(logs: Tensor) -> Tensor:
    """(..., V) -> (..., V + 1): no prediction of the image is the mask."""
    return F.pad(logs, (0, 1), value=LOWEST)


def truncated(logs: Tensor, filters: Filters) -> Tensor:
    """Log-probabilities (..., V + 1) with those of removed tokens at -70; the others are left as they are.

    top_p r: a token stays if the likelier ones together have less than r; the likeliest always does. At r = 1 rounding may
    still cut the last of the tail, as released.
    """
    if filters.temperature not in (0.0, 1.0):
        logs = normalised(logs / filters.temperature)
    if filters.top_k or filters.min_p:
        kept = Filters(top_k=filters.top_k, min_p=filters.min_p).apply(logs)
        logs = kept.clamp_min(LOWEST)
    if not filters.top_p:
        return logs
    falling, order = logs.sort(dim=-1, descending=True)
    before = F.pad(falling.exp().cumsum(-1)[..., :-1] < filters.top_p, (1, 0), value=True)
    return logs.masked_fill(~torch.empty_like(before).scatter_(-1, order, before), LOWEST)


def generate(
    network: DiscreteNetwork,
    job: DiscreteJob,
    device: torch.device,
    on_step: Callable[[Progress], object] = lambda progress: None,
    recorder: Recorder = NULL_RECORDER,
) -> DiscreteResult:
    """Run the loop. `on_step` may raise to cancel: nothing outlives the call but its result.

    Raises:
        ValueError: a guidance of the chain cannot act on this run, or the network's predictions are not finite.
    """
    diffusing = _Diffusing(network, job, device, recorder)
    for index in range(len(job.visits)):
        on_step(diffusing.step(index))
    if not diffusing.finite:
        raise ValueError(
            "the model's predictions are not finite numbers: the checkpoint may be damaged"
        )
    return DiscreteResult(diffusing.tokens)


class _Diffusing:
    """One call of `generate`."""

    def __init__(
        self, network: DiscreteNetwork, job: DiscreteJob, device: torch.device, recorder: Recorder
    ) -> None:
        self.network, self.job = mixed(network, job), job
        self.chain = job.chain.begin(job.run, recorder)
        self.uncond_at = job.chain.needs_uncond(job.run)
        given = job_conditions(job, any(self.uncond_at))
        self.state = self.network.begin(given, device, job.cache)
        self.diffusion = network.transitions(device)
        height, width = job.run.grids[0]
        self.tokens = torch.empty(job.batch, height * width, dtype=torch.long, device=device)
        self.vocab, self.calls = -1, 0
        self.finite = torch.ones((), dtype=torch.bool, device=device)

    def step(self, index: int) -> Progress:
        """One step; with the purity prior as often as its share of places needs."""
        t, purity = self.job.visits[index], self.job.purity
        if purity is None or t == 0:
            return self._once(index, t, None)
        revealing = Revealing(purity, t, self.job.batch)
        while True:
            progress = self._once(index, t, revealing)
            if revealing.done:
                return progress

    def _once(self, index: int, t: int, revealing: Revealing | None) -> Progress:
        before, cond, uncond, guided = self._predict(index, t)
        kept = truncated(with_mask(guided), self.job.filters)
        if revealing is None:
            back = t - self.job.skip if t > self.job.skip else t
            posterior = self.diffusion.posterior(kept, before, back)
            drawn = self.job.draw(posterior, self.calls)
        else:
            posterior = None
            drawn = revealing.reveal(kept, before, lambda logs: self.job.draw(logs, self.calls))
        self.calls += 1
        self.tokens = self._hold(drawn)
        count = len(self.job.visits)
        return Progress(index, count, t, before, cond, uncond, guided, kept, posterior, self.tokens)

    def _predict(self, index: int, t: int) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
        """Tokens as read, both branches' log-probabilities, the guided ones."""
        batch, both = self.job.batch, self.uncond_at[index]
        if self.vocab < 0:
            self._start()
        before = self.tokens
        logits = self.network.step(self.state, t, before, batch * (1 + both))
        self.finite &= logits.isfinite().all()
        logs = log_probabilities(logits)
        cond, uncond = logs[:batch], logs[batch:] if both else None
        guided = self.chain.apply(index, cond, uncond)
        return before, cond, uncond, normalised(guided)

    def _start(self) -> None:
        """Everything masked, but what is kept."""
        self.vocab = self.network.config.vocab  # type: ignore[attr-defined]
        self.tokens = self._hold(torch.full_like(self.tokens, self.vocab))

    def _hold(self, tokens: Tensor) -> Tensor:
        return tokens if self.job.kept is None else self.job.kept.hold(tokens, 0)
