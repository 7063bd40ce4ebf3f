"""A chain of guidances: application order, which branches each step needs, and the state of one run.

no combining link active:  guided = c, and u is not computed
otherwise:                 guided = u + sum_i gamma_i,k D_i, refined where a refining link stands
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from typing import Any

from torch import Tensor

from .base import Drawn, Guidance, Run, Signal, Step, TokenWeights
from .head import CATEGORICAL, Head
from .record import NULL_RECORDER, Numbered, Recorder, norms, numbered


@dataclass(frozen=True)
class Chain:
    """Any number of links, applied in order."""

    links: tuple[Guidance, ...] = ()

    def check(self, run: Run) -> None:
        """Raise ValueError naming the first link that cannot act on such a run."""
        for place, link in enumerate(self.links, start=1):
            reason = link.refuse(run)
            if reason:
                raise ValueError(f"guidance {place} of {len(self.links)} ({link.name}): {reason}")
        weighing = [link.name for link in self.links if link.needs_weights]
        if len(weighing) > 1:
            raise ValueError(
                f"{' and '.join(weighing)} both change how the unconditional branch sees earlier tokens:"
                " keep one of them"
            )
        mixing = Counter(
            block
            for link in self.links
            for block in {block for k in range(run.count) for block in link.mixes(k, run)}
        )
        if any(count > 1 for count in mixing.values()):
            raise ValueError(
                "two guidances mix the branches behind the same block, and only one can: remove one of them, or give it"
                " another depth"
            )

    def combining(self, index: int, run: Run) -> tuple[Guidance, ...]:
        """The combining links that change something at this step.

        A link that alone would give the conditional logits back is not one, unless another one acts beside it.
        """
        links = tuple(link for link in self.links if link.combines and link.active(index, run))
        if all(link.is_conditional(index, run) for link in links):
            # One such link gives c exactly; several would add up to c + G, which is not "no guidance".
            return () if len(links) == 1 else links
        return links

    def needs_uncond(self, run: Run) -> tuple[bool, ...]:
        """Per step: whether the unconditional branch must be computed (its last use closes a causal cache)."""
        uses = [bool(self.combining(k, run)) or bool(mix) for k, mix in enumerate(self.mixes(run))]
        if any(link.remembers for link in self.links):  # a next-token run has thousands of steps
            for k in range(run.count):
                for earlier in range(max(0, k - self._looks_back(k, run)), k):
                    uses[earlier] = True
        if run.causal and any(uses):
            last = max(k for k, use in enumerate(uses) if use)
            uses = [k <= last for k in range(run.count)]
        return tuple(uses)

    def _looks_back(self, index: int, run: Run) -> int:
        """How many steps back the unconditional branch is looked at: one for each link that remembers it uncombined."""
        combining = self.combining(index, run)
        if not combining:
            return 0
        before = takewhile(lambda link: link not in combining, self.links)
        return sum(link.remembers and link.active(index, run) for link in before)

    def strength(self, index: int, run: Run) -> float:
        """gamma of all combining links together: for what a network guides by itself. 1 = the conditional prediction."""
        links = self.combining(index, run)
        return sum(link.gamma(index, run) or 0.0 for link in links) if links else 1.0

    def mixes(self, run: Run) -> tuple[dict[int, float], ...]:
        """Per step: block -> gamma where links mix the branches inside the network."""
        return tuple(
            {
                block: gamma
                for link in self.links
                if link.active(k, run)
                for block, gamma in link.mixes(k, run).items()
            }
            for k in range(run.count)
        )

    def begin(self, run: Run, recorder: Recorder = NULL_RECORDER) -> "ChainRun":
        """Check the chain against the run and start it."""
        self.check(run)
        recorders = tuple(
            Numbered(recorder, numbers) if max(numbers.values()) > 1 else recorder
            for numbers in self._numbers()
        )
        states = tuple(link.begin(run) for link in self.links)
        return ChainRun(self, run, recorder, recorders, states)

    @property
    def names(self) -> tuple[str, ...]:
        """What the links are called: the second of a method is "igg 2"."""
        return tuple(
            numbered(link.name, numbers)
            for link, numbers in zip(self.links, self._numbers(), strict=True)
        )

    def _numbers(self) -> list[Mapping[str, int]]:
        """For every link, the how-manieth it is to record under each of its words."""
        so_far: Counter[str] = Counter()
        numbers = []
        for link in self.links:
            so_far.update({link.name, *link.records()})
            numbers.append({word: so_far[word] for word in (link.name, *link.records())})
        return numbers


@dataclass(frozen=True)
class ChainRun:
    """One run of a chain; the links' states die with it."""

    chain: Chain
    run: Run
    recorder: Recorder
    recorders: tuple[Recorder, ...]  # every link's own view of it
    states: tuple[Any, ...]

    @property
    def weighs(self) -> bool:
        """Whether a link may ask for weights."""
        return any(link.needs_weights for link in self.chain.links)

    def apply(
        self, index: int, cond: Tensor, uncond: Tensor | None, head: Head | None = CATEGORICAL
    ) -> Tensor:
        """Guided logits (B, T, V) of step `index` from the raw branches.

        `head`: what the channels stand for; None = they are no prediction of tokens (diffusion).
        """
        combining = self.chain.combining(index, self.run)
        signal = Signal(cond, uncond)
        for link, recorder, state in zip(
            self.chain.links, self.recorders, self.states, strict=True
        ):
            if link in combining or (not link.combines and link.active(index, self.run)):
                step = Step(
                    index, self.run.count, self.run.grids[index], recorder, head or CATEGORICAL
                )
                signal = link.apply(step, signal, self.run, state)
        self._record(index, head, cond, uncond if combining else None, signal.result)
        return signal.result

    def weights(self, index: int) -> TokenWeights | None:
        """How the unconditional branch sees earlier tokens in the forward pass of step `index`; None = as they are."""
        for link, state in zip(self.chain.links, self.states, strict=True):
            if link.needs_weights and link.active(index, self.run):
                return link.weights(index, self.run, state)
        return None

    def observe(self, drawn: Drawn) -> None:
        """Tell the links that look back what a step has decided."""
        for link, state in zip(self.chain.links, self.states, strict=True):
            if link.needs_weights:
                link.observe(drawn, self.run, state)

    def _record(
        self, index: int, head: Head | None, cond: Tensor, uncond: Tensor | None, guided: Tensor
    ) -> None:
        """Per-token maps of the step, computed only if the recorder wants them."""
        add, base = self.recorder.add, cond if uncond is None else uncond
        beside = cache(lambda: base.norm(dim=-1))
        if uncond is not None:
            add("nudge", index, lambda: norms(cond - uncond, beside()))
        add("added", index, lambda: norms(guided - base, beside()))
        if head is not None:
            add("confidence", index, lambda: head.confidence(cond))
            add("entropy", index, lambda: head.entropy(guided))
