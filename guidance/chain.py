"""A chain of guidances: application order, which branches each step needs, and the state of one run.

no combining guidance active:  guided = c, and u is not computed
otherwise:                     guided = base + sum_i term_i, refined where a refining guidance stands

CFG-like guidances add (gamma - 1) G and make the base c; IGG-like ones add gamma A G; the base is u only where no CFG-like
one acts. So CFG alone is Eq. 2 of the IGG paper, IGG alone its Eq. 5, both together its Eq. 7, and a CFG of scale 1 beside
another CFG changes nothing.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import takewhile

from torch import Tensor

from . import measured
from .base import Branches, Guidance, RunInfo, Signal, Step, StepResult, TokenWeights
from .head import CATEGORICAL, Head
from .record import NULL_RECORDER, Numbered, Recorder, numbered


@dataclass(frozen=True)
class Chain:
    """Any number of guidances, applied in order."""

    guidances: tuple[Guidance, ...] = ()

    def check(self, run: RunInfo) -> None:
        """Raise ValueError naming the first guidance that cannot act on such a run."""
        for place, guidance in enumerate(self.guidances, start=1):
            reason = guidance.refuse(run)
            if reason:
                raise ValueError(
                    f"guidance {place} of {len(self.guidances)} ({guidance.name}): {reason}"
                )
        weighing = [guidance.name for guidance in self.guidances if guidance.needs_weights]
        if len(weighing) > 1:
            raise ValueError(
                f"{' and '.join(weighing)} both change how the unconditional branch sees earlier tokens:"
                " keep one of them"
            )
        mixing = Counter(
            block
            for guidance in self.guidances
            for block in {block for k in range(run.count) for block in guidance.mixes(k, run)}
        )
        if any(count > 1 for count in mixing.values()):
            raise ValueError(
                "two guidances mix the branches behind the same block, and only one can: remove one of them, or give it"
                " another depth"
            )

    def notes(self, run: RunInfo) -> tuple[str, ...]:
        """What a user should know about the guidances in such a run, each by its name."""
        notes = [
            (name, guidance.note(run))
            for name, guidance in zip(self.names, self.guidances, strict=True)
        ]
        return tuple(f"{name}: {note}" for name, note in notes if note)

    def combining(self, index: int, run: RunInfo) -> tuple[Guidance, ...]:
        """The combining guidances that change something at this step.

        A CFG-like one of scale 1 does only where it alone makes the base c for an IGG-like one.
        """
        return self.plans(run)[index].combining

    def plans(self, run: RunInfo) -> tuple["StepPlan", ...]:
        """What acts at every step, found once for the run."""
        return run.once(self, "plans", lambda: tuple(self._plan(k, run) for k in range(run.count)))

    def _plan(self, index: int, run: RunInfo) -> "StepPlan":
        active = [
            place for place, guidance in enumerate(self.guidances) if guidance.active(index, run)
        ]
        combining = [place for place in active if self.guidances[place].combines]
        changing = [p for p in combining if not self.guidances[p].is_conditional(index, run)]
        if not changing or any(self.guidances[place].on_cond for place in changing):
            combining = changing
        refining = [place for place in active if not self.guidances[place].combines]
        guidances = tuple(self.guidances[place] for place in combining)
        on_cond = any(guidance.on_cond for guidance in guidances)
        acting = tuple(sorted(combining + refining))
        gammas = tuple(self.guidances[place].gamma(index, run) for place in acting)
        return StepPlan(acting, guidances, on_cond, gammas)

    def needs_uncond(self, run: RunInfo) -> tuple[bool, ...]:
        """Per step: whether the unconditional branch must be computed (its last use closes a causal cache)."""
        return run.once(self, "uncond", lambda: self._needs_uncond(run))

    def _needs_uncond(self, run: RunInfo) -> tuple[bool, ...]:
        uses = [bool(plan.combining) for plan in self.plans(run)]
        if run.mixable:
            uses = [use or bool(mix) for use, mix in zip(uses, self.mixes(run), strict=True)]
        if any(guidance.remembers for guidance in self.guidances):
            for k in range(run.count):
                for earlier in range(max(0, k - self._looks_back(k, run)), k):
                    uses[earlier] = True
        if run.causal and any(uses):
            last = max(k for k, use in enumerate(uses) if use)
            uses = [k <= last for k in range(run.count)]
        return tuple(uses)

    def _looks_back(self, index: int, run: RunInfo) -> int:
        """How many steps back the unconditional branch is looked at: one for each guidance that remembers it uncombined."""
        combining = self.combining(index, run)
        if not combining:
            return 0
        before = takewhile(lambda guidance: guidance not in combining, self.guidances)
        return sum(guidance.remembers and guidance.active(index, run) for guidance in before)

    def strength(self, index: int, run: RunInfo) -> float:
        """gamma of all combining guidances together: for what a network guides by itself. 1 = the conditional prediction."""
        guidances = self.combining(index, run)
        on_cond = not guidances or any(guidance.on_cond for guidance in guidances)
        return on_cond + sum((g.gamma(index, run) or 0.0) - g.on_cond for g in guidances)

    def mixes(self, run: RunInfo) -> tuple[dict[int, float], ...]:
        """Per step: block -> gamma where guidances mix the branches inside the network."""
        return tuple(
            {
                block: gamma
                for guidance in self.guidances
                if guidance.active(k, run)
                for block, gamma in guidance.mixes(k, run).items()
            }
            for k in range(run.count)
        )

    def begin(self, run: RunInfo, recorder: Recorder = NULL_RECORDER) -> "ActiveChain":
        """Check the chain against the run and start it."""
        self.check(run)
        recorders = tuple(
            Numbered(recorder, numbers) if max(numbers.values()) > 1 else recorder
            for numbers in self._numbers()
        )
        states = tuple(guidance.begin(run) for guidance in self.guidances)
        return ActiveChain(self, run, recorder, recorders, states)

    @property
    def names(self) -> tuple[str, ...]:
        """What the guidances are called: the second of a method is "igg 2"."""
        return tuple(
            numbered(guidance.name, numbers)
            for guidance, numbers in zip(self.guidances, self._numbers(), strict=True)
        )

    def _numbers(self) -> list[Mapping[str, int]]:
        """For every guidance, the how-manieth it is to record under each of its words."""
        so_far: Counter[str] = Counter()
        numbers = []
        for guidance in self.guidances:
            so_far.update({guidance.name, *guidance.records()})
            numbers.append({word: so_far[word] for word in (guidance.name, *guidance.records())})
        return numbers


@dataclass(frozen=True)
class StepPlan:
    """What acts at a step.

    Attributes:
        acting: places of the guidances in the chain.
        combining: those of them that combine the branches.
        on_cond: whether they add up on c, see `Signal`.
        gammas: of those that act, None for one that has none.
    """

    acting: tuple[int, ...]
    combining: tuple[Guidance, ...]
    on_cond: bool
    gammas: tuple[float | None, ...]


@dataclass(frozen=True)
class ActiveChain:
    """One run of a chain; the guidances' states die with it."""

    chain: Chain
    run: RunInfo
    recorder: Recorder
    recorders: tuple[Recorder, ...]  # every guidance's own view of it
    states: tuple[object, ...]

    @property
    def weighs(self) -> bool:
        """Whether a guidance may ask for weights."""
        return any(guidance.needs_weights for guidance in self.chain.guidances)

    @property
    def looks_back(self) -> bool:
        """Whether a step's result depends on those before it in another way than through their tokens."""
        return any(
            guidance.needs_weights or guidance.remembers for guidance in self.chain.guidances
        )

    @cached_property
    def plans(self) -> tuple[StepPlan, ...]:
        """What acts at every step."""
        return self.chain.plans(self.run)

    @property
    def records(self) -> bool:
        """Whether anybody listens."""
        return self.recorder is not NULL_RECORDER

    @cached_property
    def silent(self) -> "ActiveChain":
        """The same run, recording nothing."""
        nobody = (NULL_RECORDER,) * len(self.recorders)
        return replace(self, recorder=NULL_RECORDER, recorders=nobody)

    def alike(self, first: int, end: int) -> Iterator[tuple[int, int]]:
        """The positions `first` .. `end` - 1 of a next-token run in stretches that may be guided at once: (start, end) each."""
        start, pointwise = first, all(guidance.pointwise for guidance in self.chain.guidances)
        for k in range(first + 1, end):
            if not pointwise or self.plans[k] != self.plans[start]:
                yield start, k
                start = k
        yield start, end

    def apply(
        self, index: int, cond: Tensor, uncond: Tensor | None, head: Head | None = CATEGORICAL
    ) -> Tensor:
        """Guided logits (B, T, V) of step `index` from the raw branches.

        `head`: what the channels stand for; None = they are no prediction of tokens (diffusion).
        """
        plan, run = self.plans[index], self.run
        raw = (
            Branches(cond, uncond)
            if self.records and plan.combining and uncond is not None
            else None
        )
        signal = Signal(cond, uncond, on_cond=plan.on_cond, raw=raw)
        for place in plan.acting:
            guidance, recorder = self.chain.guidances[place], self.recorders[place]
            step = Step(index, run.count, run.grids[index], recorder, head or CATEGORICAL)
            signal = guidance.apply(step, signal, run, self.states[place])
        if self.records:
            self._record(index, head, cond, signal)
        return signal.result

    def weights(self, index: int) -> TokenWeights | None:
        """How the unconditional branch sees earlier tokens in the forward pass of step `index`; None = as they are."""
        for guidance, state in zip(self.chain.guidances, self.states, strict=True):
            if guidance.needs_weights and guidance.active(index, self.run):
                return guidance.weights(index, self.run, state)
        return None

    def observe(self, drawn: StepResult) -> None:
        """Tell the guidances that look back what a step has decided."""
        for guidance, state in zip(self.chain.guidances, self.states, strict=True):
            if guidance.needs_weights:
                guidance.observe(drawn, self.run, state)

    def _record(self, index: int, head: Head | None, cond: Tensor, signal: Signal) -> None:
        """Per-token maps of the step, computed only if the recorder wants them."""
        raw, guided, recorder = signal.raw, signal.result, self.recorder
        recorder.note_vocabulary(cond.shape[-1])
        lent = 2 if guided is cond else 1  # what the chain has made nobody writes to
        if raw is None:
            what = measured.refined(head, lent)
            recorder.later(what, index, lambda: (cond, guided, measured.length(guided - cond)))
            return
        what = measured.combined(head, lent, tuple(raw.called), signal.alone is not None)
        recorder.later(what, index, lambda: (cond, guided, raw.nudge, _added(signal)))


def _added(signal: Signal) -> Tensor | float:
    """L2 norms (B, T) of what was added to u; gamma where that is gamma (c - u)."""
    if signal.alone is not None:
        return signal.alone
    assert signal.raw is not None
    return measured.length(signal.result - signal.raw.uncond)
