"""The token-wise loop: one token per step, each predicted from all before it.

prefill, then for every token: weigh -> forward -> guide -> draw -> keep -> report
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ..guidance.base import RunInfo, StepResult, TokenWeights
from ..guidance.chain import Chain
from ..guidance.record import NULL_RECORDER, Recorder
from .draw import TokenSampler
from .edit import KeptSequence
from .weigh import WeighableState, weigh


class TokenTransformer(Protocol):
    """What the loop needs of a network."""

    def begin(self, branches: Sequence[Any], device: torch.device) -> WeighableState: ...

    def step(self, state: Any, tokens: Tensor | None, rows: int) -> Tensor: ...


@dataclass(frozen=True)
class Progress:
    """What is known after a step: for progress bars, previews and tests."""

    index: int
    count: int
    cond: Tensor  # raw logits (B, 1, V)
    uncond: Tensor | None
    guided: Tensor
    tokens: Tensor  # (B, index + 1): all so far
    weights: TokenWeights | None  # what the unconditional branch was computed with


@dataclass(frozen=True)
class TokenwiseJob:
    """Everything a run depends on.

    Attributes:
        conditions: the conditional branch's condition, then the unconditional one's, as the network takes them.
        batch: images B.
        run: number of tokens, family facts for the guidances.
        chain: the guidances.
        draw: guided logits -> tokens.
        kept: tokens to hold on to, or None.
    """

    conditions: tuple[Any, Any]
    batch: int
    run: RunInfo
    chain: Chain
    draw: TokenSampler
    kept: KeptSequence | None = None


@dataclass(frozen=True)
class TokenwiseResult:
    """Tokens (B, T)."""

    tokens: Tensor


def generate(
    network: TokenTransformer,
    job: TokenwiseJob,
    device: torch.device,
    on_step: Callable[[Progress], None] = lambda progress: None,
    recorder: Recorder = NULL_RECORDER,
) -> TokenwiseResult:
    """Run the loop. `on_step` may raise to cancel: nothing outlives the call but its result.

    Raises:
        ValueError: a guidance of the chain cannot act on this run, or the network's logits are not finite.
    """
    decoding = _Decoding(network, job, device, on_step, recorder)
    decoding.prefill()
    decoding.decode_all()
    if not decoding.finite:
        raise ValueError(
            "the model's predictions are not finite numbers: a guidance scale may be far too high, or the"
            " checkpoint may be damaged or too large for half precision"
        )
    return TokenwiseResult(decoding.tokens)


class _Decoding:
    """One call of `generate`."""

    def __init__(
        self,
        network: TokenTransformer,
        job: TokenwiseJob,
        device: torch.device,
        on_step: Callable[[Progress], None],
        recorder: Recorder,
    ) -> None:
        self.network, self.job, self.on_step = network, job, on_step
        self.chain = job.chain.begin(job.run, recorder)
        self.uncond_at = job.chain.needs_uncond(job.run)
        self.state = network.begin(job.conditions[: 1 + any(self.uncond_at)], device)
        self.tokens = torch.empty(job.batch, job.run.count, dtype=torch.long, device=device)
        self.finite = torch.ones((), dtype=torch.bool, device=device)

    def prefill(self) -> None:
        """Read the prefix and draw the first token."""
        rows = self.job.batch * (1 + self.uncond_at[0])
        self._choose(0, self.network.step(self.state, None, rows), None)

    def decode_all(self) -> None:
        """Draw every further token."""
        for k in range(1, self.job.run.count):
            self.decode_one(k)

    def decode_one(self, k: int) -> None:
        """Read token k - 1 and draw token k."""
        rows = self.job.batch * (1 + self.uncond_at[k])
        weights = weigh(self.chain, self.state, k, self.uncond_at[k])
        self._choose(k, self.network.step(self.state, self.tokens[:, k - 1 : k], rows), weights)

    def _choose(self, k: int, logits: Tensor, weights: TokenWeights | None) -> None:
        """Guide, draw, keep, report: logits (rows, 1, V) of token k."""
        batch = self.job.batch
        cond, uncond = logits[:batch], logits[batch:] if self.uncond_at[k] else None
        guided = self.chain.apply(k, cond, uncond)
        self.finite &= guided.isfinite().all()
        drawn = self.job.draw(guided)
        if self.job.kept is not None:
            drawn = self.job.kept.hold(drawn, k)
        self.tokens[:, k : k + 1] = drawn
        if uncond is not None:
            self.chain.observe(StepResult(k, cond, uncond, guided, drawn))
        so_far = self.tokens[:, : k + 1]
        self.on_step(Progress(k, self.job.run.count, cond, uncond, guided, so_far, weights))
