"""Several conditions in one image: their logits are mixed at every token, c = sum_r m_r c_r, and u = sum_r m_r u_r.

Every branch reads the tokens that were drawn from the mixture, so that all of them continue the same image. Equal branches
are computed once; one is dropped when its weight is zero from there on (a cache must be filled until then), or, where no
cache crosses steps, whenever it is zero. Regions may have negatives of their own; where all are equal there is one u.

Letters: B images, R branches (rows = R*B, branch by branch), T tokens of a step, L tokens of all steps, V vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from ..guidance.base import Grid, RunInfo
from ..guidance.chain import Chain
from ..models.parts.text import Caption, NetworkCondition, TextCondition
from .regions import Layer

Path = tuple[tuple[Layer, int], ...]
ONE = 1 - 1e-6  # shares of equal conditions add up to 1 but for rounding


@dataclass(frozen=True, eq=False)
class Mixture:
    """One branch's conditions, as the network takes them.

    Attributes:
        conditions: of every part; every one of B images.
        paths: of every part, where it lies: (layer, place in it; 0 = the background), outermost first.
    """

    conditions: tuple[NetworkCondition, ...]
    paths: tuple[Path, ...]

    def rows(
        self,
        picked: Sequence[int],
        pick: Callable[[NetworkCondition, Sequence[int]], NetworkCondition],
    ) -> "Mixture":
        """The mixture of some images; `pick` takes rows of a condition."""
        conditions = tuple(pick(condition, picked) for condition in self.conditions)
        layers = {id(layer): layer.rows(picked) for path in self.paths for layer, _ in path}
        paths = tuple(tuple((layers[id(layer)], n) for layer, n in path) for path in self.paths)
        return Mixture(conditions, paths)


BranchCondition: TypeAlias = NetworkCondition | Mixture
"""What a condition is for one branch: as the network takes it, or several such."""


@dataclass(frozen=True, eq=False)
class Branch:
    """A condition the network is run with.

    Attributes:
        condition: as the network takes it.
        conditional: whether it is part of c; else of u.
        share: (B or 1, L), its weight at every token of the run.
        used: (L,), where that is not zero in every image.
    """

    condition: NetworkCondition
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

    def told(self, run: RunInfo, guided: Sequence[bool]) -> str:
        """What the run costs, in words; `guided`: of every step, whether one condition alone would need two branches."""
        counts = [len(branches) for branches in self.computed]
        tokens = [end - start for start, end in zip(run.starts, run.starts[1:], strict=False)]
        work = sum(n * count for n, count in zip(tokens, counts, strict=True))
        alone = sum(n * (1 + both) for n, both in zip(tokens, guided, strict=True))
        spans = "; ".join(
            f"{count} branch{'es' * (count > 1)} in steps {first + 1} to {end}"
            for first, end, count in _spans(counts)
        )
        conditions = sum(branch.conditional for branch in self.branches)
        return f"{conditions} conditions in one image: {spans}. About {work / alone:.2f} times the work of one condition"

    @property
    def conditions(self) -> tuple[NetworkCondition, ...]:
        """Of all branches."""
        return tuple(branch.condition for branch in self.branches)


def _spans(counts: Sequence[int]) -> list[tuple[int, int, int]]:
    """(first step, one past the last, count) of stretches of equal counts."""
    found: list[tuple[int, int, int]] = []
    for k, count in enumerate(counts):
        first = found.pop()[0] if found and found[-1][2] == count else k
        found.append((first, k + 1, count))
    return found


def resolve(
    conditions: tuple[NetworkCondition | Mixture, NetworkCondition | Mixture],
    run: RunInfo,
    chain: Chain,
    image_grid: Grid | None,
) -> tuple[tuple[NetworkCondition, ...], Mixing | None]:
    """The conditions of a run, and how they are mixed; None where it comes down to one of each, as if alone.

    `image_grid`: see `Layer.over_run`.

    Raises:
        ValueError: a region that lies between two steps, or a guidance that mixes the branches inside the network.
    """
    cond, uncond = conditions
    if not isinstance(cond, Mixture) and not isinstance(uncond, Mixture):
        return (cond, uncond), None
    cond, uncond = as_mixture(cond), as_mixture(uncond)
    if any(chain.mixes(run)):
        raise ValueError(
            "Hidden CFG mixes one conditional and one unconditional branch inside the network, and a condition of several"
            " regions has more: use AR Guidance: CFG, or take AR Region and AR Blend out"
        )
    merged = _merged(*_acting(cond, run, image_grid), True)
    nulls, shares = _acting(uncond, run, image_grid)
    prompts = [branch.condition for branch in merged]
    against = _merged([_fitted(null, prompts) for null in nulls], shares, False)
    if len(merged) == len(against) == 1:
        return (merged[0].condition, against[0].condition), None
    mixing = _planned(merged, against, run, chain)
    return mixing.conditions, mixing


def as_mixture(given: BranchCondition) -> Mixture:
    """A condition as a mixture of one."""
    return given if isinstance(given, Mixture) else Mixture((given,), ((),))


def _acting(
    mixture: Mixture, run: RunInfo, image_grid: Grid | None
) -> tuple[list[NetworkCondition], list[Tensor]]:
    """The conditions that have a say anywhere, and the share (B or 1, L) of each."""
    shares = _shares(mixture, run, image_grid)
    acting = [n for n, share in enumerate(shares) if bool(share.any())]
    return [mixture.conditions[n] for n in acting], [shares[n] for n in acting]


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


def _fitted(null: NetworkCondition, prompts: Sequence[NetworkCondition]) -> NetworkCondition:
    """A "no prompt" that is as long as the image's own prompt, for several: as long as the longest."""
    if len(prompts) > 1 and isinstance(null, TextCondition | Caption):
        return null.fitted(prompts)  # pyright: ignore[reportArgumentType]  # one family's prompts are of one kind
    return null


def _merged(
    conditions: Sequence[NetworkCondition], shares: Sequence[Tensor], conditional: bool
) -> list[Branch]:
    """Branches of conditions that differ; the shares of equal ones are added up."""
    found: list[tuple[NetworkCondition, Tensor]] = []
    for condition, share in zip(conditions, shares, strict=True):
        place = next((i for i, (other, _) in enumerate(found) if same(other, condition)), None)
        if place is None:
            found.append((condition, share))
        else:
            found[place] = found[place][0], found[place][1] + share
    whole = [(condition, torch.where(share > ONE, 1.0, share)) for condition, share in found]
    return [Branch(c, conditional, share, (share > 0).any(0)) for c, share in whole]


def same(one: object, other: object) -> bool:
    """Whether two conditions are equal, number by number."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor) and isinstance(other, Tensor):
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
