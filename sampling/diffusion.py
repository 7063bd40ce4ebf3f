"""Guidance inside a diffusion sampler: the pack's chain on denoised images, whose tokens are their positions.

    D = chain(c, u),    c = D of the main network, u = D of the network it is compared with

c and u are (B, C, H, W) in the network's units; a token is a position, its vector the C channels (`guidance.diffusion`).
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..guidance.base import Grid, Guidance, RunInfo
from ..guidance.chain import Chain
from ..guidance.diffusion import from_tokens, to_tokens
from ..guidance.record import NULL_RECORDER, Recorder
from ..guidance.schedule import Schedule

Network = Callable[[Tensor, Tensor], Tensor]  # (image, noise level) -> denoised image


def diffusion_run(steps: int, grid: Grid) -> RunInfo:
    """What a chain is told of a diffusion run: as many steps as the sampler has, each of the whole grid."""
    return RunInfo("diffusion", (grid,) * steps, causal=False, published=Schedule("constant"))


@dataclass(frozen=True)
class Guided:
    """A `heun.Denoiser`: both networks, and the chain between them.

    Both evaluations of a step are guided alike; the first is what is recorded.
    """

    main: Network
    guide: Network | None
    chain: Chain
    run: RunInfo
    recorder: Recorder = NULL_RECORDER

    @classmethod
    def of(
        cls,
        main: Network,
        guide: Network | None,
        guidances: tuple[Guidance, ...],
        run: RunInfo,
        recorder: Recorder = NULL_RECORDER,
    ) -> "Guided":
        """Check the chain.

        Raises:
            ValueError: a guidance that cannot act, or that needs a guiding network where there is none.
        """
        chain = Chain(guidances)
        chain.check(run)
        if guide is None and any(chain.needs_uncond(run)):
            raise ValueError(NO_GUIDE)
        return cls(main, guide, chain, run, recorder)

    def __call__(self, x: Tensor, sigma: Tensor, index: int, first: bool) -> Tensor:
        cond = self.main(x, sigma)
        if not self.chain.needs_uncond(self.run)[index] or self.guide is None:
            return cond
        uncond = self.guide(x, sigma)
        chain = self.chain.begin(self.run, self.recorder if first else NULL_RECORDER)
        guided = chain.apply(index, to_tokens(cond), to_tokens(uncond), head=None)
        return from_tokens(guided, cond)


NO_GUIDE = (
    "guidance compares the network with another one, and no guiding network is loaded: choose one in AR Load EDM2 (for"
    " the released networks an '-uncond' file, or for autoguidance a smaller, less trained one), or remove the guidance"
)
