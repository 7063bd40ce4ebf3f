"""The token-wise loop: every token predicted from all before it, several in one pass where guesses prove right.

weigh -> forward -> guide -> draw -> settle -> report
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from ..guidance.base import StepResult
from ..guidance.chain import ActiveChain
from ..guidance.record import NULL_RECORDER, Recorder
from ..models.parts.cache import KVCache
from .draw import TokenSampler
from .edit import KeptSequence
from .mixed import Job, job_conditions, mixed
from .parallel import Window, agreeing, guess, stopwatch
from .progress import NOT_FINITE, Progress
from .weigh import WeighableState, weigh


class TokenTransformer(Protocol):
    """What the loop needs of a network."""

    compute_dtype: torch.dtype

    def begin(
        self, branches: Sequence[Any], device: torch.device, cache: type[KVCache]
    ) -> WeighableState: ...

    def read(self, state: Any, tokens: Tensor, rows: int) -> Tensor: ...

    def advance(self, state: Any, tokens: Tensor) -> None: ...


@dataclass(frozen=True)
class TokenwiseJob(Job):
    """Everything a run depends on; see `Job`.

    Attributes:
        draw: (guided logits (B, n, V), their first position) -> tokens (B, n).
        kept: tokens to hold on to, or None.
        widest: most tokens that one pass may draw; 1 = plain decoding. More needs a `draw` that gives the same token for the
            same logits and position however often it is asked.
        row: tokens of a row of the image, for guesses; 0 = unknown.
    """

    draw: TokenSampler
    kept: KeptSequence | None = None
    widest: int = 1
    row: int = 0


@dataclass(frozen=True)
class TokenwiseResult:
    """Tokens (B, T)."""

    tokens: Tensor


def generate(
    network: TokenTransformer,
    job: TokenwiseJob,
    device: torch.device,
    on_step: Callable[[Progress], object] = lambda progress: None,
    recorder: Recorder = NULL_RECORDER,
) -> TokenwiseResult:
    """Run the loop. `on_step` may raise to cancel: nothing outlives the call but its result.

    Raises:
        ValueError: a guidance of the chain cannot act on this run, or the network's logits are not finite.
    """
    run, batch = job.run, job.batch
    chain, uncond_at = job.chain.begin(run, recorder), job.chain.needs_uncond(run)
    network = mixed(network, job)
    state = network.begin(job_conditions(job, any(uncond_at)), device, job.cache)
    # In half precision a wide pass rounds unlike a narrow one, so that tokens would differ.
    widest = job.widest if network.compute_dtype == torch.float32 else 1
    window = Window(_free(job), widest, chain.looks_back, batch)
    tokens = torch.zeros(batch, run.count, dtype=torch.long, device=device)  # settled, then guesses
    known, guessed, finite = 0, 0, torch.ones((), dtype=torch.bool, device=device)
    while known < run.count:
        started, end = stopwatch(), window.end(known)
        guess(tokens, max(guessed, known), end, job.row)
        tokens[:, known:end] = _held(job, tokens[:, known:end], known)
        weights = weigh(chain, state, known, uncond_at[known])
        read = tokens[:, max(known - 1, 0) : end - 1]
        logits = network.read(state, read, batch * (1 + uncond_at[known]))
        guided = _guided(chain, known, logits[:batch], logits[batch:], uncond_at)
        drawn = _held(job, job.draw(guided, known), known)
        settled = agreeing(drawn, tokens[:, known:end])
        tokens[:, known:end], guessed = drawn, max(guessed, end)
        network.advance(state, read[:, : settled - (known == 0)])
        finite &= guided[:, :settled].isfinite().all()
        for step in _steps(chain, known, logits, guided[:, :settled], tokens, uncond_at):
            on_step(step if weights is None else replace(step, weights=weights))
        window.note(known, end, settled, stopwatch() - started)
        known += settled
    if not finite:
        raise ValueError(NOT_FINITE)
    return TokenwiseResult(tokens)


def _free(job: TokenwiseJob) -> list[bool]:
    """Of every position, whether some image's token is drawn."""
    if job.kept is None:
        return [True] * job.run.count
    return (~job.kept.mask.bool().reshape(-1, job.run.count).all(0)).tolist()


def _held(job: TokenwiseJob, tokens: Tensor, first: int) -> Tensor:
    """Tokens (B, n) of the positions from `first` on, those that an edit keeps put in place."""
    return tokens if job.kept is None else job.kept.hold(tokens, first)


def _guided(
    chain: ActiveChain, first: int, cond: Tensor, uncond: Tensor, uncond_at: Sequence[bool]
) -> Tensor:
    """Guided logits (B, n, V) of the positions from `first` on; recorded where there is one, which is settled."""
    silent = chain if cond.shape[1] == 1 else chain.silent
    parts = []
    for start, end in chain.alike(first, first + cond.shape[1]):
        here = slice(start - first, end - first)
        parts.append(
            silent.apply(start, cond[:, here], uncond[:, here] if uncond_at[start] else None)
        )
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _steps(
    chain: ActiveChain,
    first: int,
    logits: Tensor,
    guided: Tensor,
    tokens: Tensor,
    uncond_at: Sequence[bool],
) -> Iterator[Progress]:
    """What to report of the settled positions from `first` on; guided (B, n, V) and tokens (B, T) hold at least those."""
    batch, count = len(tokens), len(uncond_at)
    for i in range(guided.shape[1]):
        k, here = first + i, slice(i, i + 1)
        cond, uncond = logits[:batch, here], logits[batch:, here] if uncond_at[k] else None
        if logits.shape[1] > 1 and chain.records:  # while it was a guess, nothing was recorded
            chain.apply(k, cond, uncond)
        if uncond is not None:
            chain.observe(StepResult(k, cond, uncond, guided[:, here], tokens[:, k : k + 1]))
        yield Progress(k, count, (1, 1), cond, uncond, guided[:, here], tokens[:, : k + 1])
