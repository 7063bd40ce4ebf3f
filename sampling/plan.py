"""From what a user asks and what a family declares to a run: the one place that puts them together.

Every setting left open is what the family's authors published; what the family cannot do is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar, cast

from torch import Tensor

from ..guidance.base import Grid, Guidance, RunInfo
from ..guidance.chain import Chain
from ..guidance.schedule import Schedule
from ..models.family import Defaults
from ..models.parts.cache import KVCache
from ..models.parts.eight_bit_cache import EightBitCache
from ..models.parts.sizes import DiffusingConfig, SteppedConfig
from .discrete import DiscreteJob, GumbelSampler
from .draw import AddressedSampler, Filters, Noise, StreamSampler, smooth_weights
from .entropy import EntropyTemperature
from .mixture import BranchCondition, resolve
from .model import Model
from .parallel import widest_pass
from .reveal import Purity, Reveal, draw_places, released_shares
from .scalewise import ScalewiseJob
from .tokenwise import TokenwiseJob


@dataclass(frozen=True)
class SamplerSettings:
    """How tokens are drawn; None = as published.

    Attributes:
        temperature: at every step.
        temperatures: one per step, in place of `temperature`; () = none given.
        top_k, top_p, min_p: see `Filters`.
        smooth: whether code vectors are mixed instead of drawn (VAR's more_smooth).
        parallel: whether a token-wise model may draw several tokens in one pass; never changes which.
        reveal: in which order discrete diffusion reveals its tokens.
        eight_bit_cache: whether keys and values are kept in 8 bits, which takes less memory and changes tokens.
        by_entropy: how every token's temperature follows its entropy; None = it does not.
    """

    temperature: float | None = None
    temperatures: tuple[float, ...] = ()
    top_k: int | None = None
    top_p: float | None = None
    min_p: float = 0.0
    smooth: bool | None = None
    parallel: bool = True
    reveal: Reveal | None = None
    by_entropy: EntropyTemperature | None = None
    eight_bit_cache: bool = False

    def __post_init__(self) -> None:
        for temperature in self.temperatures or (self.temperature or 0.0,):
            Filters(temperature, self.top_k or 0, self.top_p or 0.0, self.min_p)

    @property
    def cache(self) -> type[KVCache]:
        """How keys and values are kept."""
        return EightBitCache if self.eight_bit_cache else KVCache

    def filters(self, published: Defaults, count: int) -> tuple[Filters, ...]:
        """The filters of every step.

        Raises:
            ValueError: a list of temperatures of another length.
        """
        if self.temperatures and len(self.temperatures) != count:
            raise ValueError(
                f"{len(self.temperatures)} temperatures are listed, but this model takes {count} steps:"
                f" give {count} numbers, or none"
            )
        top_p = published.top_p if self.top_p is None else self.top_p
        given = top_p, self.min_p, self.by_entropy
        return tuple(
            Filters(self._temperature(published, k), self._top_k(published, k), *given)
            for k in range(count)
        )

    def _temperature(self, published: Defaults, step: int) -> float:
        if self.temperatures:
            return self.temperatures[step]
        if self.temperature is not None:
            return self.temperature
        return _late(published.late_temperature, step, published.temperature)

    def _top_k(self, published: Defaults, step: int) -> int:
        if self.top_k is not None:
            return self.top_k
        return _late(published.late_top_k, step, published.top_k)


V = TypeVar("V", int, float)


def _late(change: tuple[int, V] | None, step: int, value: V) -> V:
    """`value`, or, from the step of the change on, its own."""
    return value if change is None or step < change[0] else change[1]


@dataclass(frozen=True)
class Smoother:
    """Mixes code vectors at some steps: `ScalewiseJob.smooth`.

    Attributes:
        filters: of every step.
        noise: where the exponential draws come from.
        positions: r of every step; None where the drawn token stands.
        filtered: whether only tokens that the filters keep are mixed; the temperature holds either way.
    """

    filters: tuple[Filters, ...]
    noise: Noise
    positions: tuple[float | None, ...]
    filtered: bool

    def __call__(self, logits: Tensor, step: int) -> Tensor | None:
        """Weights (B, T, V) of the code vectors for guided logits (B, T, V), or None."""
        position, filters = self.positions[step], self.filters[step]
        if position is None:
            return None
        kept = filters if self.filtered else Filters(filters.temperature)
        exponentials = self.noise.exponentials(tuple(logits.shape[1:]), logits.device)
        return smooth_weights(kept.apply(logits), exponentials, position)


def steps(model: Model, sampler_settings: SamplerSettings | None = None) -> tuple[Grid, ...]:
    """(h, w) of every step of the model's runs, with these settings."""
    if model.family.kind == "token":
        return ((1, 1),) * model.config.length
    reveal = sampler_settings and sampler_settings.reveal
    if model.family.kind == "discrete" and reveal:
        return (model.config.grid,) * len(reveal.visits(_diffusing(model).steps))
    return cast(SteppedConfig, model.config).grids


def _diffusing(model: Model) -> DiffusingConfig:
    """The sizes of a model of discrete diffusion."""
    return cast(DiffusingConfig, model.config)


def facts(model: Model, sampler_settings: SamplerSettings) -> RunInfo:
    """What guidances are told about a run."""
    family, published = model.family, model.defaults
    asked = (
        published.temperature
        if sampler_settings.temperature is None
        else sampler_settings.temperature
    )
    return RunInfo(
        kind=family.kind,
        grids=steps(model, sampler_settings),
        causal=family.causal(model.config),
        published=Schedule(
            published.schedule,
            end=published.end,
            power=published.power,
            line=model.config.grid[1],
        ),
        temperature=asked,
        mixable=family.mixable(model.config),
    )


def plan(
    model: Model,
    conditions: tuple[BranchCondition, BranchCondition],
    batch: int,
    guidances: Sequence[Guidance],
    sampler_settings: SamplerSettings,
    noise: Noise,
) -> ScalewiseJob | TokenwiseJob | DiscreteJob:
    """The run a loop takes, checked.

    Args:
        conditions: the conditional branch's condition, then the unconditional one's, as the network takes them; of several in one
            image, two `Mixture`s.
        batch: images.
        guidances: the chain of guidances.
        noise: the images' random numbers.

    Raises:
        ValueError: a guidance, a setting or a region that cannot act on this model.
    """
    job = _job(model, batch, guidances, sampler_settings, noise)
    image_grid = model.config.grid if job.run.kind == "token" else None
    given, mixing = resolve(conditions, job.run, job.chain, image_grid)
    return replace(job, conditions=given, mixing=mixing, cache=sampler_settings.cache)


def _job(
    model: Model,
    batch: int,
    guidances: Sequence[Guidance],
    sampler_settings: SamplerSettings,
    noise: Noise,
) -> ScalewiseJob | TokenwiseJob | DiscreteJob:
    """The run, still without its conditions."""
    run, chain = facts(model, sampler_settings), Chain(tuple(guidances))
    chain.check(run)
    filters = sampler_settings.filters(model.defaults, run.count)
    same = len(set(filters)) == 1
    temperatures = tuple(one.temperature for one in filters)
    run = replace(run, temperature=temperatures[0], temperatures=() if same else temperatures)
    smooth = _smoother(model, sampler_settings, filters, noise)
    if sampler_settings.by_entropy is not None:
        _check_entropy(model, smoothed=smooth is not None)
    if sampler_settings.eight_bit_cache and not run.causal:
        raise ValueError(
            f"this {model.family.title} model keeps no keys and values from step to step: set cache of AR Sampler to 'full'"
        )
    if sampler_settings.reveal is not None and run.kind != "discrete":
        raise ValueError(
            f"{model.name} is a {model.family.title} model, which has its own order of tokens: AR Reveal Order is for"
            " VQ-Diffusion, remove it"
        )
    if run.kind == "discrete":
        return _discrete(model, batch, run, chain, sampler_settings, filters, noise)
    if run.kind == "scale":
        draw = StreamSampler(filters[0] if same else filters, noise)
        normals = noise.normals if model.family.residual else None
        return ScalewiseJob((), batch, run, chain, draw, smooth=smooth, noise=normals)
    if not same:
        raise ValueError(
            "a list of temperatures is for scale-wise models; this one draws all tokens alike: leave it empty"
        )
    draw = AddressedSampler(filters[0], noise)
    widest = widest_pass(model.config.vocab, batch) if sampler_settings.parallel else 1
    row = model.config.grid[1]
    return TokenwiseJob((), batch, run, chain, draw, widest=widest, row=row)


def _check_entropy(model: Model, smoothed: bool) -> None:
    """Refuse AR Entropy Temperature where no token is drawn out of a vocabulary, one draw for each place."""
    reason = None
    if model.family.kind == "discrete":
        reason = "which draws every place again at every step"
    elif model.family.bitwise:
        reason = "whose tokens are bits with an entropy of at most one each"
    if reason:
        raise ValueError(
            f"this is a {model.family.title} model, {reason}: AR Entropy Temperature has no numbers for that. Remove it"
        )
    if smoothed:
        raise ValueError(
            "AR Entropy Temperature sets how a token is drawn, and here code vectors are mixed instead: set smooth of AR"
            " Sampler to 'off', or remove it"
        )


def _discrete(
    model: Model,
    batch: int,
    run: RunInfo,
    chain: Chain,
    sampler_settings: SamplerSettings,
    filters: tuple[Filters, ...],
    noise: Noise,
) -> DiscreteJob:
    """A run of discrete diffusion."""
    if len(set(filters)) > 1:
        raise ValueError(
            "a list of temperatures is for scale-wise models; this one draws all tokens alike: leave it empty"
        )
    if sampler_settings.smooth:
        raise ValueError(
            f"a {model.family.title} model has no code vectors to mix at each step: set smooth to 'off'"
        )
    reveal = sampler_settings.reveal or Reveal()
    length = run.grids[0][0] * run.grids[0][1]
    purity = None
    if reveal.purity:
        shares = released_shares(_diffusing(model).steps, length)
        purity = Purity(shares, partial(draw_places, noise), reveal.weight)
    return DiscreteJob(
        (),
        batch,
        run,
        chain,
        filters[0],
        GumbelSampler(noise, greedy=filters[0].temperature == 0),
        reveal.visits(_diffusing(model).steps),
        reveal.stride - 1,
        purity,
    )


def _smoother(
    model: Model, sampler_settings: SamplerSettings, filters: tuple[Filters, ...], noise: Noise
) -> Smoother | None:
    """How code vectors are mixed, or None."""
    published, count = model.defaults, len(filters)
    greedy = all(f.temperature == 0 for f in filters)
    wanted = (
        published.smooth and not greedy
        if sampler_settings.smooth is None
        else sampler_settings.smooth
    )
    if not wanted:
        return None
    if not model.family.smoothable:
        raise ValueError(
            f"a {model.family.title} model has no code vectors to mix at each scale: set smooth to 'off'"
        )
    if greedy:
        raise ValueError(
            "at temperature 0 the likeliest token is taken, so there is nothing to mix: set smooth to 'off'"
        )
    first, end = published.smooth_steps or (0, count)
    ramp = published.schedule if published.schedule.endswith("ramp") else "linear ramp"
    shape = Schedule(
        ramp
    )  # r is the published guidance ramp's: HART's last scale repeats the one before
    positions = tuple(shape.rate(k, count) if first <= k < end else None for k in range(count))
    return Smoother(filters, noise, positions, published.smooth_filtered)
