"""Guidance inside a diffusion sampler: the pack's chain on denoised images, whose tokens are their positions.

    D = chain(c, u),    c = D of the main network, u = D of the network it is compared with

c and u are (B, C, H, W) in the network's units; a token is a position, its vector the C channels (`guidance.diffusion`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from ..guidance.base import Grid, Guidance, RunInfo
from ..guidance.chain import ActiveChain, Chain
from ..guidance.diffusion import from_tokens, to_tokens
from ..guidance.record import NULL_RECORDER, Recorder
from ..guidance.schedule import Schedule
from ..guidance.waiting import Measurement, Part

Network = Callable[[Tensor, Tensor], Tensor]  # (image, noise level) -> denoised image


def diffusion_run(steps: int, grid: Grid) -> RunInfo:
    """What a chain is told of a diffusion run: as many steps as the sampler has, each of the whole grid."""
    return RunInfo("diffusion", (grid,) * steps, causal=False, published=Schedule("constant"))


@dataclass
class Gate(Recorder):
    """Passes on what is recorded while it is open."""

    inner: Recorder
    is_open: bool = True

    def add(self, name: str, step: int, make: Callable[[], Tensor]) -> None:
        if self.is_open:
            self.inner.add(name, step, make)

    def later(self, what: Measurement, step: int, make: Callable[[], tuple[Part, ...]]) -> None:
        if self.is_open:
            self.inner.later(what, step, make)

    def claim(self, name: str) -> str:
        return self.inner.claim(name)

    def note(self, name: str, step: int, value: float) -> None:
        if self.is_open:
            self.inner.note(name, step, value)

    def note_vocabulary(self, size: int) -> None:
        self.inner.note_vocabulary(size)


@dataclass(frozen=True)
class Guided:
    """A `heun.Denoiser` for one run: both networks, and the chain between them.

    Both evaluations of a step are guided alike; the first is what is recorded.
    """

    main: Network
    guide: Network | None
    active: ActiveChain
    gate: Gate

    @classmethod
    def of(
        cls,
        main: Network,
        guide: Network | None,
        guidances: tuple[Guidance, ...],
        run: RunInfo,
        recorder: Recorder = NULL_RECORDER,
    ) -> "Guided":
        """Check the chain and begin it.

        Raises:
            ValueError: a guidance that cannot act, or that needs a guiding network where there is none.
        """
        chain, gate = Chain(guidances), Gate(recorder)
        active = chain.begin(run, gate)
        if guide is None and any(chain.needs_uncond(run)):
            raise ValueError(NO_GUIDE)
        return cls(main, guide, active, gate)

    @cached_property
    def needed(self) -> tuple[bool, ...]:
        """Per step: whether the guiding network is asked."""
        return self.active.chain.needs_uncond(self.active.run)

    def __call__(self, x: Tensor, sigma: Tensor, index: int, first: bool) -> Tensor:
        cond = self.main(x, sigma)
        if self.guide is None or not self.needed[index]:
            return cond
        uncond = self.guide(x, sigma)
        self.gate.is_open = first
        guided = self.active.apply(index, to_tokens(cond), to_tokens(uncond), head=None)
        return from_tokens(guided, cond)


NO_GUIDE = (
    "guidance compares the network with another one, and no guiding network is loaded: choose one in AR Load EDM2 (for"
    " the released networks an '-uncond' file, or for autoguidance a smaller, less trained one), or remove the guidance"
)
