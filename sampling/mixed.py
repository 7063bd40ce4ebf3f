"""How a mixed run goes: a network of many branches as the loops know networks, with one conditional and one unconditional.

Letters: B images, R branches (rows = R*B, branch by branch), T tokens of a step, V vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from ..guidance.base import RunInfo
from ..guidance.chain import Chain
from ..models.parts.cache import KVCache
from ..models.parts.text import NetworkCondition
from .mixture import Mixing

N = TypeVar("N")


@dataclass(frozen=True)
class Job:
    """What every run depends on, whatever its loop.

    Attributes:
        conditions: the conditional branch's condition, then the unconditional one's, as the network takes them.
        batch: images B.
        run: the grid of every step, family facts for the guidances.
        chain: the guidances.
        mixing: how several conditions make each branch, or None; `conditions` are then those of all its branches.
        cache: how a network that looks back keeps keys and values.
    """

    conditions: tuple[NetworkCondition, ...]
    batch: int
    run: RunInfo
    chain: Chain
    mixing: Mixing | None = field(default=None, kw_only=True)
    cache: type[KVCache] = field(default=KVCache, kw_only=True)

    @property
    def order(self) -> tuple[int, ...]:
        """What the loop calls its steps to the network, where it does not count them."""
        return ()


def job_conditions(job: Job, uncond: bool) -> tuple[NetworkCondition, ...]:
    """What a network begins a job with: the conditional branch's condition and, if there is guidance, the unconditional
    one's; those of all branches where they are mixed."""
    return job.conditions if job.mixing else job.conditions[: 1 + uncond]


def branch_count(job: Job) -> int:
    """Branches of the fullest step of a job."""
    if job.mixing:
        return max(len(branches) for branches in job.mixing.computed)
    return 1 + any(job.chain.needs_uncond(job.run))


def last_branches(job: Job) -> int:
    """Branches of its last step."""
    if job.mixing:
        return len(job.mixing.computed[-1])
    return 1 + job.chain.needs_uncond(job.run)[-1]


def mixed(network: N, job: Job) -> N:
    """The network as a job's loop runs it: itself, or mixing."""
    if not job.mixing:
        return network
    made = MixedNetwork(network, job.mixing, job.batch, job.order)
    return cast(N, made)  # it has what the loop of this network asks for


class MixedState:
    """One run: the network's own state, or one for each set of branches where no cache crosses steps."""

    def __init__(self, begin: Callable[[tuple[int, ...]], Any], mixing: Mixing) -> None:
        self._begin, self._mixing = begin, mixing
        self._states: dict[tuple[int, ...], Any] = {}
        self.known = 0  # tokens of a token-wise run
        self.computed: tuple[int, ...] = ()  # in the latest step
        self.first = 0  # its first token

    def of(self, computed: tuple[int, ...]) -> Any:
        """The network's state for these branches."""
        every = tuple(range(len(self._mixing.branches)))
        key = every if self._mixing.causal else computed
        if key not in self._states:
            self._states.clear()
            self._states[key] = self._begin(key)
        self.computed = computed
        return self._states[key]

    def weigh(self, values: Tensor | None, keys: Tensor | None) -> None:
        """Weights (B, n) of the unconditional branches, which are the last rows."""
        uncond = sum(not branch.conditional for branch in self._mixing.branches)
        values, keys = (None if w is None else w.repeat(uncond, 1) for w in (values, keys))
        self.of(self.computed).weigh(values, keys)


class MixedNetwork:
    """A network of two branches, each a mixture: what the loops ask of a network, whatever its kind.

    Args:
        network: runs the single branches. Its `follow` is told, once the run has begun, which of them are conditional.
        order: of discrete diffusion, the t of every step.
    """

    def __init__(self, network: Any, mixing: Mixing, batch: int, order: Sequence[int] = ()) -> None:
        self.network, self.mixing, self.batch = network, mixing, batch
        self.config = network.config
        self.compute_dtype = network.compute_dtype
        self.order = order
        self._shares: dict[torch.device, list[Tensor]] = {}

    def begin(
        self,
        branches: Sequence[NetworkCondition],
        device: torch.device,
        cache: type[KVCache] = KVCache,
    ) -> MixedState:
        def begin(places: tuple[int, ...]) -> Any:
            given = [branches[i] for i in places]
            state = self.network.begin(given, device, cache)
            kinds = [self.mixing.branches[i].conditional for i in places]
            self.network.follow(state, given, [n for n, kind in enumerate(kinds) if kind])
            return state

        return MixedState(begin, self.mixing)

    def step(self, state: MixedState, scale: int, maps: Tensor | None, rows: int) -> Tensor:
        """Mixed logits (rows, T, ...) of a step; `rows`: B, or 2 B with u. `scale` counts as the network's own does."""
        index = self.order.index(scale) if self.order else scale
        computed = self.mixing.computed[index]
        inner, state.first = state.of(computed), self.mixing.starts[index]
        logits = self.network.step(inner, scale, maps, self.batch * len(computed))
        return self.mix(logits, state, rows)

    def read(self, state: MixedState, tokens: Tensor, rows: int) -> Tensor:
        """Mixed logits (rows, n, V) of what follows each of `tokens`."""
        computed, state.first = self.mixing.computed[state.known], state.known
        logits = self.network.read(state.of(computed), tokens, self.batch * len(computed))
        return self.mix(logits, state, rows)

    def advance(self, state: MixedState, tokens: Tensor) -> None:
        self.network.advance(state.of(state.computed), tokens)
        state.known += tokens.shape[1] + (state.known == 0)

    def residual(
        self, state: MixedState, codes: Tensor, strength: float, noise: Callable[..., Tensor]
    ) -> Tensor:
        """What a network draws by itself after the last step, its estimates mixed as the logits of that step."""
        rows = self.batch * (
            2 if any(not self.mixing.branches[i].conditional for i in state.computed) else 1
        )
        inner = state.of(state.computed)
        return self.network.residual(
            inner, codes, strength, noise, lambda estimates: self.mix(estimates, state, rows)
        )

    def transitions(self, device: torch.device) -> Any:
        return self.network.transitions(device)

    def mix(self, given: Tensor, state: MixedState, rows: int) -> Tensor:
        """c (B, T, ...), or c and u (2 B, T, ...), from those of the computed branches (R B, T, ...)."""
        parts = dict(zip(state.computed, given.split(self.batch), strict=True))
        cond = self._sum(parts, True, state.first)
        return (
            cond if rows == self.batch else torch.cat((cond, self._sum(parts, False, state.first)))
        )

    def _sum(self, parts: dict[int, Tensor], conditional: bool, first: int) -> Tensor:
        """Of one kind of branches; one that is alone at all tokens is given as it is."""
        count = next(iter(parts.values())).shape[1]
        here = slice(first, first + count)
        acting = [
            i
            for i in parts
            if self.mixing.branches[i].conditional == conditional
            and bool(self.mixing.branches[i].used[here].any())
        ]
        if len(acting) == 1:
            return parts[acting[0]]
        shares = self._shares_on(parts[acting[0]].device)
        total = torch.zeros_like(parts[acting[0]])
        for i in acting:
            share = shares[i][:, here]
            total.addcmul_(parts[i], share.reshape(*share.shape, *(1,) * (total.dim() - 2)))
        return total

    def _shares_on(self, device: torch.device) -> list[Tensor]:
        if device not in self._shares:
            self._shares[device] = [branch.share.to(device) for branch in self.mixing.branches]
        return self._shares[device]
