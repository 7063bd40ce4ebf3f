"""IGG: information-grounding guidance for visual autoregression (arXiv 2509.23876, Eq. 5-6).

    guided = u + gamma_k A G,    G = c - u,    A = softmax_rows(G G^T / sqrt(V))

The nudges of one image attend to each other, so that a token is moved where its look-alikes agree to go. Strong
nudges attend most to themselves and to each other, weak ones average out: what is added gathers on the subject. Measured as the
paper does, IGG is less even than CFG and treats the background more differently, and both are good (Table 1: evenness .741
-> .665, divergence .623 -> .751).
G is (B, T, V) with T = H W positions of this step; A is (B, T, T), never held whole.

Options: a sliding window (positions with |dy| <= s//2 and |dx| <= s//2 attend), the reading of Eq. 6 as a weight per
token (G_j scaled by the attention it receives, sum_i A_ij, mean 1), and centring G over the vocabulary.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from .base import Grid, RunInfo, Signal, Step, parameter
from .combining import Combining, scale_parameter

Range = tuple[int, int]  # start and end of some rows or columns
Area = tuple[Range, Range]  # rows and columns

SCORES = 1 << 22  # attention scores held at once: 16 MB in fp32
KEPT = 1 << 16  # numbers of a mask, at most, for it to be kept: that of 16 x 16 tokens, 256 KB

SELF_ATTENTION, TOKEN_WEIGHT = "self-attention", "token weight"
GLOBAL, AUTO, FIXED = "global", "auto", "fixed side"


def attention(queries: Tensor, keys: Tensor, hiding: Tensor | None = None) -> Tensor:
    """Rows of A (B, n, m): queries (B, n, V), keys (B, m, V); `hiding` (n, m): see `hidden`."""
    scale = 1 / math.sqrt(queries.shape[-1])
    if hiding is None:
        return (queries @ keys.mT).mul_(scale).softmax(-1)
    return torch.baddbmm(hiding, queries, keys.mT, alpha=scale).softmax(-1)


def attend(nudge: Tensor, hiding: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """A G (B, T, V) and the attention every token receives, sum_i A_ij (B, T), over whole images."""
    batch, tokens, _ = nudge.shape
    rows = max(1, SCORES // (batch * tokens))
    if hiding is not None or rows >= tokens:  # small steps, where every further operation counts
        weights = attention(nudge, nudge, hiding)
        return weights @ nudge, weights.sum(1)
    mixed, received = torch.empty_like(nudge), nudge.new_zeros(batch, tokens)
    for start in range(0, tokens, rows):
        weights = attention(nudge[:, start : start + rows], nudge)
        mixed[:, start : start + rows] = weights @ nudge
        received += weights.sum(1)
    return mixed, received


def attend_window(nudge: Tensor, grid: Grid, radius: int) -> tuple[Tensor, Tensor]:
    """`attend` where only positions within `radius` rows and columns see each other; memory O(T s^2), s = 2 radius + 1.

    Tiles of queries attend to the tile grown by the radius, as dense products under a mask.
    """
    (height, width), batch = grid, len(nudge)
    if radius >= max(height, width) - 1:
        return attend(nudge)
    side = tile_side(batch, radius)
    if side >= max(height, width):
        whole = (0, height), (0, width)
        return attend(nudge, hidden(whole, whole, radius, nudge))
    maps = nudge.unflatten(1, grid)
    mixed, received = torch.empty_like(maps), maps.new_zeros(batch, height, width)
    for top in range(0, height, side):
        for left in range(0, width, side):
            tile = (top, min(top + side, height)), (left, min(left + side, width))
            near = grown(tile[0], radius, height), grown(tile[1], radius, width)
            if side + 2 * radius >= width:  # whole rows are a view of the map, parts of them a copy
                near = near[0], (0, width)
            here, around = (
                (slice(None), *(slice(*part) for part in area)) for area in (tile, near)
            )
            keys = maps[around].flatten(1, 2)
            weights = attention(maps[here].flatten(1, 2), keys, hidden(tile, near, radius, nudge))
            mixed[here] = (weights @ keys).view_as(maps[here])
            received[around] += weights.sum(1).view_as(received[around])
    return mixed.flatten(1, 2), received.flatten(1, 2)


def grown(part: Range, radius: int, size: int) -> Range:
    """A range of positions and those within the radius of it."""
    return max(part[0] - radius, 0), min(part[1] + radius, size)


def tile_side(batch: int, radius: int) -> int:
    """Side of a query tile: about the window's, smaller where the scores would take too much memory."""
    side = max(2 * radius, 4)
    while side > 1 and batch * (side * (side + 2 * radius)) ** 2 > SCORES:
        side //= 2
    return side


def hidden(tile: Area, near: Area, radius: int, like: Tensor) -> Tensor:
    """What to add to the scores (n, m) of a tile's queries and the keys around it: -inf where a query must not see a key.

    Small ones are kept: making one takes longer than using it.
    """
    queries, keys = (math.prod(end - start for start, end in area) for area in (tile, near))
    make = _hidden if queries * keys <= KEPT else _hidden.__wrapped__
    return make(tile, near, radius, like.dtype, like.device)


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # it is kept for runs that are not in that mode, too
def _hidden(
    tile: Area, near: Area, radius: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """`hidden` of the given type, on the given device."""
    rows, columns = (
        (torch.arange(*queries, device=device)[:, None] - torch.arange(*keys, device=device)).abs()
        > radius
        for queries, keys in zip(tile, near, strict=True)
    )
    far = (rows[:, None, :, None] | columns[None, :, None, :]).flatten(2, 3).flatten(0, 1)
    return torch.zeros(far.shape, dtype=dtype, device=device).masked_fill_(far, -math.inf)


@dataclass(frozen=True)
class IGG(Combining):
    """Information-grounding guidance with a schedule.

    Attributes:
        scale: gamma at full strength; 0 = absent, while 1 gives u + A G, which is not c.
        attention: "self-attention" (A G) or "token weight" (G scaled by the attention received).
        window: "global", "auto" (side floor(sqrt(h w))) or "fixed side".
        window_side: side of the fixed window, in tokens.
        centre: take the mean over the vocabulary out of the nudge first.
    """

    name: ClassVar[str] = "igg"
    neutral: ClassVar[Mapping[str, float | str]] = {"scale": 0.0, "schedule": "constant"}
    node_id: ClassVar[str] = "ARGuidanceIGG"
    title: ClassVar[str] = "AR Guidance: IGG"
    summary: ClassVar[str] = (
        "Information-grounding guidance: like CFG, but the nudge of every token is an attention average over the nudges"
        " of all tokens of the step, so guidance gathers on the subject: what look-alike places agree on stays, stray"
        " nudges average out."
    )
    aliases: ClassVar[tuple[str, ...]] = ("information grounding", "attention guidance")
    paper: ClassVar[str] = "arXiv 2509.23876"
    formula: ClassVar[str] = "guided = u + gamma · softmax(G G^T / sqrt V) G,  G = c - u"
    symbols: ClassVar[str] = (
        "c and u are the model's predictions (logits) with and without the class or prompt, gamma is `scale` at this step. G"
        " is the nudge from u to c, one row per token of the step, V the length of a row; the softmax turns the likeness of"
        " each token's nudge to all others into weights that sum to 1."
    )

    scale: float = scale_parameter(
        "How strongly the image follows the class or prompt. 0 = off where the schedule is constant; other schedules"
        " run between 1 and the scale. Unlike CFG's, a scale of 1 is not off: the nudge acts, averaged. Too little:"
        " vague, mixed-up shapes. Too much: harsh colours, less variety."
    )
    attention: str = parameter(
        SELF_ATTENTION,
        "How attention acts. 'self-attention' averages the nudges; 'token weight' keeps each token's own direction and"
        " only makes agreed-on tokens stronger.",
        options=(SELF_ATTENTION, TOKEN_WEIGHT),
        advanced=True,
    )
    window: str = parameter(
        GLOBAL,
        "Which tokens look at each other. 'global': all. 'auto': neighbours only. Too small a window acts like CFG.",
        options=(GLOBAL, AUTO, FIXED),
    )
    window_side: int = parameter(
        5,
        "Only for 'fixed side': width of the neighbourhood in tokens. 1 = the token alone (plain CFG).",
        minimum=1,
        maximum=128,
        step=1,
        advanced=True,
    )
    centre: bool = parameter(
        False,
        "Subtract the nudge's mean over all tokens of the vocabulary first: an offset common to all tokens no longer"
        " counts as agreement.",
        advanced=True,
    )

    def records(self) -> tuple[str, ...]:
        return ("igg", "attention")

    def refuse(self, run: RunInfo) -> str | None:
        if run.kind == "token":
            return (
                "a next-token model has one nudge per step, so there is nothing for attention to average:"
                " use CFG or SoftCFG"
            )
        return super().refuse(run)

    @property
    def shift_invariant(self) -> bool:
        return self.centre  # else attention sees the constant

    def active(self, index: int, run: RunInfo) -> bool:
        return bool(self.gamma(index, run))  # a scale of 0 is exactly absent

    def term(self, step: Step, signal: Signal) -> Tensor:
        nudge = signal.nudge
        if self.centre:
            nudge = nudge - nudge.mean(-1, keepdim=True)
        mixed, received = self._attend(nudge, step.grid)
        step.recorder.add("attention", step.index, lambda: received)
        if self.attention == TOKEN_WEIGHT:
            return nudge * received[..., None]  # rows of A sum to 1, so the mean over tokens is 1
        return mixed

    def _attend(self, nudge: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
        if self.window == GLOBAL:
            return attend(nudge)
        side = math.isqrt(grid[0] * grid[1]) if self.window == AUTO else self.window_side
        return attend_window(nudge, grid, side // 2)
