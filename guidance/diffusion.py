"""IGG and the CFG-IGG mix on diffusion models (arXiv 2509.23876, A.5).

    guided = u + w G + w' A G,    G = c - u,    A = softmax_rows(G G^T / sqrt(C))

c and u are a latent diffusion model's denoised predictions, (B, C, H, W) in the units its network works in. The tokens
are the latent's positions, their vectors its C channels; one image attends to itself, and so does every frame of a
video (B, C, F, H, W) and the whole of a sound (B, C, L).

The paper does not name the parametrisation, and unlike CFG the mix depends on it: a difference of noise predictions is
G / sigma (of scores: G / sigma^2), which would be another softmax temperature at every step. Denoised predictions are
what EDM2, the paper's model, puts out. G shrinks with sigma, so near the end A is almost uniform and A G almost the
mean of G.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .base import Grid, Signal, Step
from .igg import IGG
from .record import NULL_RECORDER, Recorder

Shapes = Sequence[Sequence[int]]


@dataclass(frozen=True)
class DiffusionMix:
    """The terms to add to what a sampler made of the branches.

    Attributes:
        igg_scale: w', the weight of A G.
        cfg_scale: w, the weight of G; None leaves it to the sampler.
        igg: how attention acts (its own scale is not used).
    """

    igg_scale: float = -0.4
    cfg_scale: float | None = None
    igg: IGG = IGG()

    def __post_init__(self) -> None:
        if not all(math.isfinite(scale) for scale in (self.igg_scale, self.cfg_scale or 0.0)):
            raise ValueError(f"scales must be finite: {self.cfg_scale}, {self.igg_scale}")

    @property
    def absent(self) -> bool:
        """Whether the mix changes nothing, whatever the model."""
        return self.cfg_scale is None and self.igg_scale == 0

    def guide(
        self,
        denoised: Tensor,
        cond: Tensor,
        uncond: Tensor,
        sampler_scale: float,
        shapes: Shapes = (),
        recorder: Recorder = NULL_RECORDER,
        index: int = 0,
    ) -> Tensor:
        """denoised + (w - s) G + w' A G: on top of u + s G this is the formula above.

        Adding the difference, rather than starting again from u, keeps whatever else shaped `denoised`.

        Args:
            denoised: what the sampler made of the branches.
            cond, uncond: c and u.
            sampler_scale: s, the sampler's own cfg.
            shapes: see `term`.
            recorder, index: who listens, and to which step.
        """
        lacking = 0.0 if self.cfg_scale is None else self.cfg_scale - sampler_scale
        guided = denoised
        if lacking:
            guided = guided + lacking * (cond - uncond)
        if self.igg_scale:
            term = self.term(cond, uncond, shapes)
            recorder.note("igg scale", index, self.igg_scale)
            recorder.add("igg direction", index, lambda: to_tokens(term).norm(dim=-1))
            guided = guided + self.igg_scale * term.to(denoised.dtype)
        return guided

    def term(self, cond: Tensor, uncond: Tensor, shapes: Shapes = ()) -> Tensor:
        """A G in the shape of the latent, fp32.

        `shapes`: of the latents that are packed into one, (B, 1, numbers), as a film and its sound are; each attends to itself.
        """
        if len(shapes) > 1:
            parts = zip(unpacked(cond, shapes), unpacked(uncond, shapes), strict=True)
            return torch.cat([self.term(c, u).flatten(1)[:, None] for c, u in parts], dim=-1)
        step = Step(0, 1, grid_of(cond))
        tokens = self.igg.term(step, Signal(to_tokens(cond), to_tokens(uncond)))
        return from_tokens(tokens, cond)


def unpacked(latent: Tensor, shapes: Shapes) -> list[Tensor]:
    """The latents of these shapes, batch first, that lie one after the other in (B, 1, numbers)."""
    sizes = [math.prod(shape[1:]) for shape in shapes]
    parts = latent[:, 0].split(sizes, dim=-1)
    return [part.unflatten(-1, tuple(shape[1:])) for part, shape in zip(parts, shapes, strict=True)]


def grid_of(latent: Tensor) -> Grid:
    """Rows and columns of positions that attend to each other.

    Raises:
        ValueError: positions cannot be told from the shape.
    """
    if latent.ndim not in (3, 4, 5) or (latent.ndim == 3 and latent.shape[1] == 1):
        raise ValueError(
            f"IGG needs a latent with positions and channels, and this model's has the shape {tuple(latent.shape)}"
            " (several latents packed into one?): remove the IGG node from this model"
        )
    return (1, latent.shape[2]) if latent.ndim == 3 else (latent.shape[-2], latent.shape[-1])


def to_tokens(latent: Tensor) -> Tensor:
    """(B, C, [F,] positions) -> (B [F], T, C) in fp32: frames become images of their own."""
    if latent.ndim == 5:
        latent = latent.movedim(2, 1).flatten(0, 1)  # (B F, C, H, W)
    return latent.flatten(2).transpose(1, 2).float()


def from_tokens(tokens: Tensor, like: Tensor) -> Tensor:
    """The inverse of `to_tokens`, in the shape of `like`."""
    frames = tokens.unflatten(0, (like.shape[0], -1))  # (B, F or 1, T, C)
    return frames.movedim(-1, 1).reshape(like.shape)
