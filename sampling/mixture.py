"""Several conditions in one image: their logits are mixed at every token, c = sum_r m_r c_r, and u = sum_r m_r u_r.

Every branch reads the tokens that were drawn from the mixture, so that all of them continue the same image. Equal branches
are computed once; one is dropped when its weight is zero from there on (a cache must be filled until then), or, where no
cache crosses steps, whenever it is zero. Regions may have negatives of their own; where all are equal there is one u.

Letters: B images, R branches (rows = R*B, branch by branch), T tokens of a step, L tokens of all steps, V vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from ..guidance.base import Grid, RunInfo
from ..guidance.chain import Chain
from .regions import Layer

Path = tuple[tuple[Layer, int], ...]
ONE = 1 - 1e-6  # shares of equal conditions add up to 1 but for rounding


@dataclass(frozen=True, eq=False)
class Mixture:
    """One branch's conditions, as the network takes them.

    Attributes:
        conditions: of every part.
        paths: of every part, where it lies: (layer, place in it; 0 = the background), outermost first.
    """

    conditions: tuple[Any, ...]
    paths: tuple[Path, ...]

    def rows(self, picked: Sequence[int], pick: Callable[[Any, Sequence[int]], Any]) -> "Mixture":
        """The mixture of some images; `pick` takes rows of a condition."""
        conditions = tuple(pick(condition, picked) for condition in self.conditions)
        layers = {id(layer): layer.rows(picked) for path in self.paths for layer, _ in path}
        paths = tuple(tuple((layers[id(layer)], n) for layer, n in path) for path in self.paths)
        return Mixture(conditions, paths)


@dataclass(frozen=True, eq=False)
class Branch:
    """A condition the network is run with.

    Attributes:
        condition: as the network takes it.
        conditional: whether it is part of c; else of u.
        share: (B or 1, L), its weight at every token of the run.
        used: (L,), where that is not zero in every image.
    """

    condition: Any
    conditional: bool
    share: Tensor
    used: Tensor


@dataclass(frozen=True)
class Mixing:
    """The plan of a mixed run.

    Attributes:
        branches: in the order of their rows.
        computed: of every step, the branches that are run; in a causal run the first ones.
        starts: tokens before every step.
        causal: whether a cache carries the branches' past.
    """

    branches: tuple[Branch, ...]
    computed: tuple[tuple[int, ...], ...]
    starts: tuple[int, ...]
    causal: bool

    @property
    def conditions(self) -> tuple[Any, ...]:
        """Of all branches."""
        return tuple(branch.condition for branch in self.branches)


def resolve(
    conditions: tuple[Any, Any], run: RunInfo, chain: Chain, image_grid: Grid | None
) -> tuple[tuple[Any, ...], Mixing | None]:
    """The conditions of a run, and how they are mixed; None where it comes down to one of each, as if alone.

    `image_grid`: see `Layer.over_run`.

    Raises:
        ValueError: a region that lies between two steps, or a guidance that mixes the branches inside the network.
    """
    cond, uncond = conditions
    if not isinstance(cond, Mixture):
        return conditions, None
    if any(chain.mixes(run)):
        raise ValueError(
            "Hidden CFG mixes one conditional and one unconditional branch inside the network, and a condition of several"
            " regions has more: use AR Guidance: CFG, or take AR Region and AR Blend out"
        )
    shares = _shares(cond, run, image_grid)
    acting = [n for n, share in enumerate(shares) if bool(share.any())]
    merged = _merged([cond.conditions[n] for n in acting], [shares[n] for n in acting], True)
    prompts = [branch.condition for branch in merged]
    nulls = [_fitted(uncond.conditions[n], prompts) for n in acting]
    against = _merged(nulls, [shares[n] for n in acting], False)
    if len(merged) == len(against) == 1:
        return (merged[0].condition, against[0].condition), None
    mixing = _planned(merged, against, run, chain)
    return mixing.conditions, mixing


def _shares(mixture: Mixture, run: RunInfo, image_grid: Grid | None) -> list[Tensor]:
    """(B or 1, L) of every part."""
    layers = {id(layer): layer for path in mixture.paths for layer, _ in path}
    for layer in layers.values():
        _check_steps(layer, run)
    made = {key: layer.over_run(run, image_grid) for key, layer in layers.items()}
    shares = []
    for path in mixture.paths:
        share = torch.ones(1, run.starts[-1])
        for layer, place in path:
            share = share * made[id(layer)][place]
        shares.append(share)
    return shares


def _check_steps(layer: Layer, run: RunInfo) -> None:
    for region in layer.regions:
        if region.weight > 0 and not any(region.acts(k, run.count) for k in range(run.count)):
            raise ValueError(
                f"between start {region.start:g} and end {region.end:g} of a region or blend lies none of this model's"
                f" {run.count} steps, so it would never act: widen the interval, or remove the node"
            )


def _fitted(null: Any, prompts: Sequence[Any]) -> Any:
    """A "no prompt" that is as long as the image's own prompt, for several: as long as the longest."""
    return null.fitted(prompts) if hasattr(null, "fitted") and len(prompts) > 1 else null


def _merged(conditions: Sequence[Any], shares: Sequence[Tensor], conditional: bool) -> list[Branch]:
    """Branches of conditions that differ; the shares of equal ones are added up."""
    found: list[tuple[Any, Tensor]] = []
    for condition, share in zip(conditions, shares, strict=True):
        place = next((i for i, (other, _) in enumerate(found) if same(other, condition)), None)
        if place is None:
            found.append((condition, share))
        else:
            found[place] = found[place][0], found[place][1] + share
    whole = [(condition, torch.where(share > ONE, 1.0, share)) for condition, share in found]
    return [Branch(c, conditional, share, (share > 0).any(0)) for c, share in whole]


def same(one: Any, other: Any) -> bool:
    """Whether two conditions are equal, number by number."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor):
        return one.shape == other.shape and torch.equal(one, other)
    if is_dataclass(one):
        names = [entry.name for entry in fields(one)]
        return all(same(getattr(one, name), getattr(other, name)) for name in names)
    return one == other


def _planned(cond: list[Branch], uncond: list[Branch], run: RunInfo, chain: Chain) -> Mixing:
    """Which branches every step computes, and the order of their rows.

    In a causal run the branch that is needed longest comes first, so that those still needed are the first rows. Where a
    guidance weights what the unconditional branches remember, these come last and stay together.
    """
    guided = chain.needs_uncond(run)
    last = [k for k in range(run.count) if guided[k]]
    branches = cond + (uncond if last else [])
    needed = [_needed(branch, run, guided) for branch in branches]
    order = list(range(len(branches)))
    if run.causal:
        ends = [max(k for k, need in enumerate(steps) if need) for steps in needed]
        if any(guidance.needs_weights for guidance in chain.guidances):
            ends = [end if i < len(cond) else last[-1] for i, end in enumerate(ends)]
            order.sort(key=lambda i: (i >= len(cond), -ends[i]))
        else:
            order.sort(key=lambda i: (-ends[i], i))
        counts = [max(n + 1 for n, i in enumerate(order) if ends[i] >= k) for k in range(run.count)]
        computed = tuple(tuple(range(count)) for count in counts)
    else:
        computed = tuple(tuple(i for i in order if needed[i][k]) or (0,) for k in range(run.count))
    return Mixing(tuple(branches[i] for i in order), computed, run.starts, run.causal)


def _needed(branch: Branch, run: RunInfo, guided: Sequence[bool]) -> list[bool]:
    """At which steps a branch has a say."""
    spans = zip(run.starts, run.starts[1:], strict=False)
    used = [bool(branch.used[start:end].any()) for start, end in spans]
    return used if branch.conditional else [a and b for a, b in zip(used, guided, strict=True)]


def job_conditions(job: Any, uncond: bool) -> tuple[Any, ...]:
    """What a network begins a job with: the conditional branch's condition and, if there is guidance, the unconditional
    one's; those of all branches where they are mixed."""
    return job.conditions if job.mixing else job.conditions[: 1 + uncond]


def branch_count(job: Any) -> int:
    """Branches of the fullest step of a job."""
    if job.mixing:
        return max(len(branches) for branches in job.mixing.computed)
    return 1 + any(job.chain.needs_uncond(job.run))


def mixed(network: Any, job: Any) -> Any:
    """The network as a job's loop runs it: itself, or mixing."""
    if not job.mixing:
        return network
    return MixedNetwork(network, job.mixing, job.batch, getattr(job, "visits", ()))


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
        network: runs the single branches. If it has `follow(state, branches, conditional)`, that is told, once the run has
            begun, which of the branches are conditional.
        order: of discrete diffusion, the t of every step.
    """

    def __init__(self, network: Any, mixing: Mixing, batch: int, order: Sequence[int] = ()) -> None:
        self.network, self.mixing, self.batch = network, mixing, batch
        self.config = network.config
        self.compute_dtype = getattr(network, "compute_dtype", torch.float32)
        self.order = order
        self._shares: dict[torch.device, list[Tensor]] = {}

    def begin(self, branches: Sequence[Any], device: torch.device) -> MixedState:
        def begin(places: tuple[int, ...]) -> Any:
            given = [branches[i] for i in places]
            state = self.network.begin(given, device)
            if hasattr(self.network, "follow"):
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
