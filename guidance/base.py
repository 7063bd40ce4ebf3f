"""The guidance contract: what a method is given, what it may declare, what it returns.

Letters: B images, T tokens of the step, V vocabulary; logits are raw, fp32, (B, T, V), and read-only.
"""

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from functools import cached_property
from itertools import accumulate
from typing import Any, ClassVar, Literal, TypeVar, cast

import torch
from torch import Tensor
from torch.linalg import vector_norm

from .head import CATEGORICAL, Head
from .record import NULL_RECORDER, Grid, Recorder
from .schedule import Schedule

Made = TypeVar("Made")


@dataclass(frozen=True)
class RunInfo:
    """What is known before a run starts.

    Attributes:
        kind: "scale" (next-scale prediction), "token" (next-token prediction), "discrete" (discrete diffusion: all tokens
            of one grid at every step; its logits are log-probabilities clamped to [-70, 0]) or "diffusion" (denoised
            images, whose tokens are their positions).
        grids: (h, w) of every step.
        causal: whether a cache carries a branch's past, so that it must be computed at every step up to its last use.
        published: the family's own schedule, for guidances that leave the choice to the model.
        temperature: the sampler's, for guidances that look at how likely a drawn token was.
        temperatures: one per step where they differ; () = `temperature` at every step.
        mixable: number of blocks at whose output the network lets branches be mixed; 0 = none.
    """

    kind: Literal["scale", "token", "discrete", "diffusion"]
    grids: tuple[Grid, ...]
    causal: bool = True
    published: Schedule = Schedule()
    temperature: float = 1.0
    temperatures: tuple[float, ...] = ()
    mixable: int = 0

    @property
    def count(self) -> int:
        """Number of steps."""
        return len(self.grids)

    def temperature_at(self, index: int) -> float:
        """The sampler's temperature at a step."""
        return self.temperatures[index] if self.temperatures else self.temperature

    def once(self, owner: object, name: Hashable, make: Callable[[], Made]) -> Made:
        """What `make` finds for `owner`, found once for this run: schedules are asked for at thousands of steps."""
        key = id(owner), name
        if key not in self._found:
            self._found[key] = owner, make()  # the owner lives on: no other gets its id
        return cast(Made, self._found[key][1])

    @cached_property
    def _found(self) -> dict[tuple[int, Hashable], tuple[object, object]]:
        return {}

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """How many tokens come before every step, in the order of generation; last, how many there are in all."""
        return tuple(accumulate((h * w for h, w in self.grids), initial=0))


@dataclass(frozen=True)
class Step:
    """One step, read-only."""

    index: int
    count: int
    grid: Grid
    recorder: Recorder = NULL_RECORDER
    head: Head = CATEGORICAL


@dataclass(frozen=True)
class Branches:
    """The raw logits (B, T, V) of both branches, and what a recorded step needs of them more than once."""

    cond: Tensor
    uncond: Tensor
    called: list[str] = field(default_factory=list)  # what guidances record the nudge's norms as

    @cached_property
    def nudge(self) -> Tensor:
        """G = c - u."""
        return self.cond - self.uncond


@dataclass(frozen=True)
class Signal:
    """What travels along the chain: the pair of branch logits, then, after a combining guidance, guided logits.

    Attributes:
        cond, uncond, guided: logits (B, T, V).
        on_cond: whether the terms of this step are added on c (a CFG-like guidance acts in the chain) or on u.
        raw: the branches as the network gave them, where the step is recorded.
        alone: gamma, where guided is u + gamma G and no more.
    """

    cond: Tensor
    uncond: Tensor | None = None
    guided: Tensor | None = None
    on_cond: bool = False
    raw: Branches | None = None
    alone: float | None = None

    @property
    def nudge(self) -> Tensor:
        """G = c - u, of the branches as they stand."""
        if self.raw is not None and self.raw.cond is self.cond and self.raw.uncond is self.uncond:
            return self.raw.nudge
        return self.cond - self._uncond()

    def record_lengths(self, step: Step, name: str, term: Tensor) -> None:
        """Record the L2 norms (B, T) of a term (B, T, V); those of the nudge are found in any case."""
        if self.raw is not None and term is self.raw.nudge:
            self.raw.called.append(step.recorder.claim(name))
        else:
            step.recorder.add(name, step.index, lambda: vector_norm(term, dim=-1))

    @property
    def result(self) -> Tensor:
        """The guided logits; the conditional ones while no guidance has combined the branches."""
        return self.cond if self.guided is None else self.guided

    def add(self, term: Tensor, weight: float) -> "Signal":
        """Add weight * term on what earlier guidances made, or on the base: c where a CFG-like one acts, else u."""
        base = self.guided
        if base is None:
            base = self.cond if self.on_cond else self._uncond()
        return replace(self, guided=torch.add(base, term, alpha=weight), alone=None)

    def add_nudge(self, nudge: Tensor, gamma: float) -> "Signal":
        """Add (gamma - 1) G on the base c. Where nothing was added before, as u + gamma G, the published form."""
        if self.guided is not None:
            return self.add(nudge, gamma - 1)
        guided = torch.add(self._uncond(), nudge, alpha=gamma)
        raw = self.raw is not None and nudge is self.raw.nudge
        return replace(self, guided=guided, alone=gamma if raw else None)

    def _uncond(self) -> Tensor:
        if self.uncond is None:
            raise RuntimeError("the unconditional branch was not computed at this step")
        return self.uncond

    def refine(self, change: Callable[[Tensor, str], Tensor]) -> "Signal":
        """Transform the signal where it stands: guided logits if there are any, else every branch.

        `change` receives the logits and the name of what they are: "guided", "cond" or "uncond".
        """
        if self.guided is not None:
            return replace(self, guided=change(self.guided, "guided"), alone=None)
        uncond = None if self.uncond is None else change(self.uncond, "uncond")
        return replace(self, cond=change(self.cond, "cond"), uncond=uncond)


@dataclass(frozen=True)
class StepResult:
    """What a step has decided, for guidances that look back: raw logits (B, T, V) and tokens (B, T) or bits (B, T, D).

    Tokens that an edit keeps stand in place of those that were drawn.
    """

    index: int
    cond: Tensor
    uncond: Tensor | None
    guided: Tensor
    tokens: Tensor
    head: Head = CATEGORICAL


@dataclass(frozen=True)
class TokenWeights:
    """Factors (B, n) on the cached values and keys of tokens 0..n-1, unconditional branch only; None = 1.

    Tokens are counted in the order of generation. A token's entry is the position that reads it (next-token models) or
    the position it was predicted at (next-scale models, whose scales read an image of all earlier ones).
    """

    values: Tensor | None = None
    keys: Tensor | None = None


@dataclass(frozen=True)
class Parameter:
    """How a field of a guidance is shown: limits, step and a tooltip that says what too little and too much do."""

    tooltip: str
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    options: tuple[str, ...] = ()
    advanced: bool = False


def parameter(default: Any, tooltip: str, **limits: Any) -> Any:
    """A dataclass field with its `Parameter` in the metadata."""
    return field(default=default, metadata={"parameter": Parameter(tooltip, **limits)})


def settings(declared: type) -> list[Field[object]]:
    """The fields of a dataclass that a user sets, each with its `Parameter` in the metadata; one a method inherits without use has none."""
    return [shown for shown in fields(declared) if "parameter" in shown.metadata]  # type: ignore[arg-type]


def check_setting(name: str, value: object, limits: Parameter) -> None:
    """Raise ValueError for a value that its widget would not give: not an option, no number, or out of range."""
    if limits.options:
        if value not in limits.options:
            raise ValueError(
                f"{name}: there is no '{value}'; choose one of: {', '.join(limits.options)}"
            )
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise ValueError(f"{name} must be a finite number, not {value}")
        low, high = limits.minimum, limits.maximum
        if low is not None and high is not None and not low <= value <= high:
            raise ValueError(f"{name} is {value:g}, but must lie between {low:g} and {high:g}")


class Guidance:
    """A method: a frozen dataclass of settings. Everything that changes during a run lives in `begin`'s result.

    Raises:
        ValueError: a setting that is not finite, out of its limits or no option: when it is made, not when it runs.
    """

    name: ClassVar[str]
    node_id: ClassVar[str]  # permanent: saved workflows name it
    title: ClassVar[str]
    summary: ClassVar[str]  # one plain sentence for the node
    aliases: ClassVar[tuple[str, ...]] = ()  # further words to find the node by
    paper: ClassVar[str]
    formula: ClassVar[str]  # one line, for the help page
    symbols: ClassVar[
        str
    ]  # what its letters stand for, each with the input that sets it; one sentence or two
    remarks: ClassVar[str] = ""  # a further paragraph of the help page
    combines: ClassVar[bool]  # True: combines the branches. False: refines the signal.
    on_cond: ClassVar[bool] = False  # CFG-like: its terms, and those beside it, are added on c.
    neutral: ClassVar[Mapping[str, float | str]]  # settings with which it does nothing, to the bit
    inside: ClassVar[bool] = (
        False  # True: acts inside the network; its `apply` has nothing left to do.
    )
    remembers: ClassVar[bool] = False  # True: looks at the signal of the previous step.
    pointwise: ClassVar[bool] = False  # True: looks at one position's logits and gamma alone.
    needs_weights: ClassVar[bool] = (
        False  # True: weights cached tokens; see `weights` and `observe`.
    )

    def __post_init__(self) -> None:
        for shown in settings(type(self)):
            check_setting(shown.name, getattr(self, shown.name), shown.metadata["parameter"])

    def records(self) -> tuple[str, ...]:
        """First words of the names of its maps and numbers, for telling several guidances of one method apart."""
        return (self.name,)

    def refuse(self, run: RunInfo) -> str | None:
        """Why this method cannot act on such a run, or None."""
        return None

    def note(self, run: RunInfo) -> str | None:
        """What a user should know about this guidance in such a run, or None."""
        return None

    @property
    def shift_invariant(self) -> bool:
        """Whether a constant added to all logits of a token changes no probability."""
        return True

    def active(self, index: int, run: RunInfo) -> bool:
        """Whether the guidance does anything at this step."""
        return True

    def is_conditional(self, index: int, run: RunInfo) -> bool:
        """Whether the guidance alone would give the conditional logits unchanged at this step (CFG-like ones only)."""
        return False

    def gamma(self, index: int, run: RunInfo) -> float | None:
        """gamma of a combining guidance, or None where it is off. 1 = the conditional prediction for CFG-like ones, 0 for others."""
        return None

    def mixes(self, index: int, run: RunInfo) -> Mapping[int, float]:
        """Block -> gamma for methods that mix the branches inside the network, at the output of that block."""
        return {}

    def begin(self, run: RunInfo) -> Any:
        """State of one run."""
        return None

    def apply(self, step: Step, signal: Signal, run: RunInfo, state: Any) -> Signal:
        """The signal after this guidance; inputs are never written to."""
        raise NotImplementedError

    def weights(self, index: int, run: RunInfo, state: Any) -> TokenWeights | None:
        """Weights for the forward pass of step `index`, asked for before it: steps 0..index-1 have been drawn."""
        return None

    def observe(self, drawn: StepResult, run: RunInfo, state: Any) -> None:
        """Called after every step whose unconditional branch was computed, if the guidance needs weights."""
