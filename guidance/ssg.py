"""SSG: scaled spatial guidance away from the previous scale (arXiv 2602.05534, Alg. 1-2).

    l <- l + beta_k (l - prior),    prior = DSE upsampling of the signal seen at the previous scale, before SSG acted

It refines whatever the signal is at its place in the chain: both branches before a combining guidance, the guided logits
after one. Discrete spatial enhancement (DSE) takes the low frequencies (orthonormal 2-D DCT) from the previous scale and the high ones from its
interpolation. With a separable interpolation U, DCT bases C and the h (w) lowest rows C_h of the large basis, along
each axis:   P = C_H[:h]^T C_H[:h],   S = C_H[:h]^T C_h,   prior = U x U^T - (P U) x (P U)^T + s S x S^T.

Discrete diffusion (VQ-Diffusion) has one grid, where DSE would be the identity. The paper's App. I gives no formula; in our
reading the prior is the previous step's log-probabilities with the upper half of the frequencies of each axis taken away.

The published algorithm copies orthonormal coefficients (s = 1), which lowers the amplitude by sqrt(hw/HW);
"preserve amplitude" scales them by s = sqrt(HW/hw), so that a constant map stays constant.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from .base import Grid, RunInfo, Signal, Step, parameter
from .curve import Curve
from .head import normalised
from .schedule import CURVE, SHAPES
from .scheduled import Scheduled, curve_parameter, end_parameter, start_parameter

PRIORS = ("DSE", "DSE zero", "linear", "nearest")
INTERPOLATIONS = ("bilinear", "bicubic")
VERBATIM, PRESERVE = "verbatim", "preserve amplitude"
KEPT = 1 << 15  # numbers of an enlargement's matrix, at most, for it to be made and kept: 128 KB


@lru_cache(maxsize=256)
def dct_basis(size: int) -> Tensor:
    """Orthonormal DCT-II basis (size, size), fp64: row f is frequency f."""
    position = (torch.arange(size, dtype=torch.float64) + 0.5) * math.pi / size
    basis = torch.cos(torch.arange(size, dtype=torch.float64)[:, None] * position)
    basis *= math.sqrt(2 / size)
    basis[0] /= math.sqrt(2)
    return basis


@lru_cache(maxsize=256)
def interpolation_matrix(small: int, large: int, mode: str) -> Tensor:
    """(large, small) matrix of a separable interpolation along one axis, fp64."""
    if mode == "nearest":
        return torch.eye(small, dtype=torch.float64)[torch.arange(large) * small // large]
    columns = torch.eye(small, dtype=torch.float64)[:, None, :, None]
    resized = F.interpolate(columns, size=(large, 1), mode=mode, align_corners=False)
    return resized[:, 0, :, 0].T.contiguous()


@lru_cache(maxsize=256)
def axis_matrices(small: int, large: int, mode: str) -> tuple[Tensor, Tensor, Tensor]:
    """U, P U and S of one axis, each (large, small), fp64. Where the grid shrinks, the lowest common ones are taken."""
    shared = min(small, large)
    low = dct_basis(large)[:shared]
    up = interpolation_matrix(small, large, mode)
    return up, low.T @ (low @ up), low.T @ dct_basis(small)[:shared]


def spread(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """rows x columns^T on every channel: (B, h, w, V) -> (B, H, W, V)."""
    stretched = stretch(x, columns)
    return (rows.to(x) @ stretched.flatten(2)).unflatten(2, stretched.shape[2:])


def spread_onto(y: Tensor, x: Tensor, rows: Tensor, columns: Tensor, sign: int) -> None:
    """y + sign * `spread`, written to y (B, H, W, V): no copy of that size is made."""
    rows = rows.to(x).expand(len(x), -1, -1)
    y.flatten(2).baddbmm_(rows, stretch(x, columns).flatten(2), alpha=sign)


def stretch(x: Tensor, columns: Tensor) -> Tensor:
    """(B, h, w, V) -> (B, h, W, V)."""
    return (columns.to(x) @ x.flatten(0, 1)).unflatten(0, x.shape[:2])


def upsample(x: Tensor, grid: Grid, prior: str, interpolation: str, amplitude: str) -> Tensor:
    """The prior (B, H, W, V) of a signal x (B, h, w, V)."""
    small = x.shape[1], x.shape[2]
    if small == grid:  # every matrix is 1
        return x
    if math.prod(small) * math.prod(grid) > KEPT:
        return enlarged(x, grid, prior, interpolation, amplitude)
    matrix = enlargement(small, grid, prior, interpolation, amplitude, x.dtype, x.device)
    return (matrix @ x.flatten(1, 2)).unflatten(1, grid)


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # it is kept for runs that are not in that mode, too
def enlargement(
    small: Grid,
    grid: Grid,
    prior: str,
    interpolation: str,
    amplitude: str,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """`enlarged` as one matrix (H W, h w): of few tokens one product takes less time than many small ones."""
    ones = torch.eye(math.prod(small), dtype=torch.float64).view(1, *small, -1)
    made = enlarged(ones, grid, prior, interpolation, amplitude)
    return made.flatten(0, 2).to(device, dtype)


def enlarged(x: Tensor, grid: Grid, prior: str, interpolation: str, amplitude: str) -> Tensor:
    """`upsample`, along one axis after the other."""
    small = x.shape[1:3]
    mode = "nearest" if prior == "nearest" else interpolation
    (up_y, low_y, copy_y), (up_x, low_x, copy_x) = (
        axis_matrices(s, g, mode) for s, g in zip(small, grid, strict=True)
    )
    if prior in ("linear", "nearest"):
        return spread(x, up_y, up_x)
    gain = math.sqrt(grid[0] * grid[1] / (small[0] * small[1])) if amplitude == PRESERVE else 1.0
    copied = spread(x, gain * copy_y, copy_x)
    if prior == "DSE zero":
        return copied
    spread_onto(copied, x, up_y, up_x, 1)
    spread_onto(copied, x, low_y, low_x, -1)
    return copied


def low_pass(x: Tensor) -> Tensor:
    """x (B, H, W, V) without the upper half of each axis's frequencies: ceil(H/2) x ceil(W/2) bands stay."""
    low_y, low_x = (low_bands(side) for side in x.shape[1:3])
    return spread(x, low_y, low_x)


@lru_cache(maxsize=256)
def low_bands(side: int) -> Tensor:
    """Projection (side, side) onto the lower half of the frequencies, fp64."""
    low = dct_basis(side)[: (side + 1) // 2]
    return low.T @ low


@dataclass
class Seen:
    """What SSG saw at the previous scale, by name of the signal, and its grid."""

    signals: dict[str, Tensor] = field(default_factory=dict)
    grid: Grid = (0, 0)

    def of(self, name: str) -> Tensor | None:
        """The previous signal of this name; where the chain combined in one step and not in the other, the nearest one."""
        order = {"guided": ("guided", "cond"), "cond": ("cond", "guided")}.get(
            name, ("uncond", "guided")
        )
        return next((self.signals[n] for n in order if n in self.signals), None)


@dataclass(frozen=True)
class SSG(Scheduled):
    """Guidance away from a smooth copy of the previous scale.

    Attributes:
        beta: strength at its largest.
        schedule: linear decay (published) or any other shape.
        prior: what is subtracted: "DSE", or "DSE zero" (high frequencies zero), "linear", "nearest" (ablations).
        interpolation: of DSE and "linear".
        amplitude: "verbatim" (published) or "preserve amplitude".
        start, end: share of the run outside which the guidance is off.
    """

    name: ClassVar[str] = "ssg"
    node_id: ClassVar[str] = "ARGuidanceSSG"
    title: ClassVar[str] = "AR Guidance: SSG"
    summary: ClassVar[str] = (
        "Scaled spatial guidance: pushes each scale away from a smooth copy of the previous one, so that it adds"
        " detail instead of repeating what is there. Needs no unconditional branch."
    )
    aliases: ClassVar[tuple[str, ...]] = ("scaled spatial guidance", "DSE")
    paper: ClassVar[str] = "arXiv 2602.05534"
    formula: ClassVar[str] = "ell <- ell + beta (ell - prior)"
    symbols: ClassVar[str] = (
        "ell is what this scale's tokens are drawn from (logits) as it comes to this node: the guided prediction behind a"
        " CFG, IGG or SoftCFG node, else the predictions with and without the class or prompt, each by itself. prior is the ell of the"
        " previous scale, smoothly enlarged to this one's grid; beta is `beta` at this scale."
    )
    remarks: ClassVar[str] = (
        "On a discrete diffusion model (VQ-Diffusion) a step takes the place of a scale. The paper says only that SSG acts there"
        " before sampling; how is our reading, not the authors': ell are log-probabilities after guidance, and `DSE` is the previous"
        " step's ell without the upper half of its spatial frequencies (`linear` and `nearest`: the previous step's ell as it is)."
        " It acts at a hundred steps there instead of ten, so begin with a small `beta`, about 0.1. Which value is best for the"
        " released models has not been tried."
    )
    combines: ClassVar[bool] = False
    rest: ClassVar[float] = 0.0
    neutral: ClassVar[Mapping[str, float | str]] = {"beta": 0.0}
    remembers: ClassVar[bool] = True

    # 1.2: on the bundled model's plateau from 0.8 to 2.5 (docs/guidance-sweep.md).
    beta: float = parameter(
        1.2,
        "How far each scale is pushed away from the previous one. 0 = off. Too little: no change. Too much: noisy, torn"
        " textures. The default did well on the bundled model, where anything from 0.8 to 2.5 did about as well; larger models may"
        " want less.",
        minimum=0.0,
        maximum=5.0,
        step=0.05,
    )
    schedule: str = parameter(
        "linear decay",
        "How the strength changes over the scales. The paper lets it fall linearly.",
        options=(*SHAPES, CURVE),
    )
    prior: str = parameter(
        "DSE",
        "The smooth copy of the previous scale. DSE is the paper's; the others are its ablations.",
        options=PRIORS,
        advanced=True,
    )
    interpolation: str = parameter(
        "bilinear", "How the previous scale is enlarged.", options=INTERPOLATIONS, advanced=True
    )
    amplitude: str = parameter(
        VERBATIM,
        "'verbatim' copies frequencies as published, which weakens the copy as the grid grows; 'preserve amplitude'"
        " makes up for it, so that SSG acts more strongly.",
        options=(VERBATIM, PRESERVE),
        advanced=True,
    )
    start: float = start_parameter("Share of the run before which SSG is off.")
    end: float = end_parameter("Share of the run after which SSG is off.")
    curve: Curve = curve_parameter()

    def refuse(self, run: RunInfo) -> str | None:
        if run.kind == "token":
            return "SSG compares a scale with the previous one, and this model draws single tokens: use CFG or SoftCFG"
        if run.kind == "diffusion":
            return "SSG compares a scale with a coarser one, and every step of a diffusion model has the same size: use CFG or IGG"
        return super().refuse(run)

    def active(self, index: int, run: RunInfo) -> bool:
        return self.beta > 0

    def prior_of(self, before: Tensor, grid: Grid, run: RunInfo) -> Tensor:
        """What is subtracted, (B, H, W, V), of what was seen before (B, h, w, V)."""
        if run.kind == "discrete":  # equal grids: what enlarges nothing leaves it as it was
            return low_pass(before) if self.prior.startswith("DSE") else before
        return upsample(before, grid, self.prior, self.interpolation, self.amplitude)

    def begin(self, run: RunInfo) -> Seen:
        return Seen()

    def apply(self, step: Step, signal: Signal, run: RunInfo, state: Seen) -> Signal:
        beta = self.at_step(step.index, run, self.beta) or 0.0
        now: dict[str, Tensor] = {}

        def change(logits: Tensor, name: str) -> Tensor:
            logits = normalised(logits) if run.kind == "discrete" else logits
            now[name], before = logits, state.of(name)
            if before is None or beta == 0:  # the first scale has nothing before it
                return logits
            prior = self.prior_of(before.unflatten(1, state.grid), step.grid, run).flatten(1, 2)
            return torch.lerp(logits, prior, -beta)  # l + beta (l - prior)

        refined = signal.refine(change)
        state.signals, state.grid = now, step.grid
        return refined
