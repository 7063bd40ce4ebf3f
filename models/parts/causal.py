"""What decoder-only image networks share: state of a run, prefill, decoding one token, the whole sequence at once.

Letters: B images, R branches (rows = R*B, branch by branch), P prefix positions, T image tokens, L = P + T - 1 positions,
D width, H heads, d head width, V vocabulary. Position P + t holds token t; the output at position P + t - 1 predicts it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import Sight
from .cache import KVCache, Weighable


@dataclass
class TokenState(Weighable):
    """One run: the prefix, tables that depend on the condition alone, and the cache."""

    prefix: Tensor  # (rows, P, D) fp32
    hidden: Tensor | None  # (rows, 1, 1, L): positions nobody sees (padding)
    table: Tensor  # (2, L, d/2)
    cache: KVCache


class SwiGLU(nn.Module):
    """w2(silu(w1 x) * w3 x), no biases."""

    def __init__(self, width: int, ffn: int, ops: Any, **place: Any) -> None:
        super().__init__()
        self.w1 = ops.Linear(width, ffn, bias=False, **place)
        self.w3 = ops.Linear(width, ffn, bias=False, **place)
        self.w2 = ops.Linear(ffn, width, bias=False, **place)

    def forward(self, x: Tensor) -> Tensor:
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class CausalNetwork(nn.Module):
    """The token-wise protocol (`begin`, then `step` for every token) over what a family defines.

    A family sets `config` (with depth, heads, head_width, prefix, length, vocab), `compute_dtype`, and defines `prefix`, `embed`,
    `rotations`, `trunk` and `head`. The residual stream is fp32; matrix products run in `compute_dtype`.
    """

    config: Any
    compute_dtype: torch.dtype

    # --- what a family defines -------------------------------------------------------------------------------------

    def prefix(self, branches: Sequence[Any], device: torch.device) -> tuple[Tensor, Tensor | None]:
        """Prefix embeddings (rows, P, D) of all branches, and which of them are padding (rows, P), or None."""
        raise NotImplementedError

    def embed(self, tokens: Tensor) -> Tensor:
        """Embeddings (B, T, D) of image tokens (B, T)."""
        raise NotImplementedError

    def rotations(self) -> Tensor:
        """The table (2, L, d/2) of every position."""
        raise NotImplementedError

    def trunk(self, x: Tensor, sight: Sight) -> Tensor:
        """All layers: (rows, T, D) -> (rows, T, D)."""
        raise NotImplementedError

    def head(self, x: Tensor) -> Tensor:
        """Last norm and output matrix: (rows, T, D) -> (rows, T, V)."""
        raise NotImplementedError

    # --- the token-wise protocol -----------------------------------------------------------------------------------

    def cache_bytes(self, rows: int) -> int:
        """Memory of the key/value cache for `rows` = branches x batch."""
        c = self.config
        itemsize = self.compute_dtype.itemsize
        return KVCache.bytes(c.depth, rows, c.heads, c.prefix + c.length, c.head_width, itemsize)

    def begin(self, branches: Sequence[Any], device: torch.device) -> TokenState:
        """Start a run. `branches`: every branch's condition; `device`: where to compute."""
        c = self.config
        prefix, padding = self.prefix(branches, device)
        rows, length = prefix.shape[0], c.prefix + c.length - 1
        hidden = None
        if padding is not None:
            hidden = F.pad(padding, (0, c.length - 1))[:, None, None]
        size = c.depth, rows, c.heads, length, c.head_width
        cache = KVCache(*size, self.compute_dtype, device, start=prefix.shape[1])
        return TokenState(prefix.float(), hidden, self.rotations().to(device), cache)

    def step(self, state: TokenState, tokens: Tensor | None, rows: int) -> Tensor:
        """Raw logits (rows, 1, V), fp32, of the next token, for the first `rows` rows.

        `tokens` (B, 1): the last token; None at the first step, which reads the prefix.
        """
        if tokens is None:
            x = state.prefix[:rows]
        else:
            x = self.embed(tokens).float()
            x = x.repeat(rows // x.shape[0], 1, 1)
        start = state.cache.filled
        end = start + x.shape[1]
        hidden = None if state.hidden is None else state.hidden[:rows, :, :, :end]
        if x.shape[1] > 1:
            hidden = causal(end, hidden, x.device)
        x = self.trunk(x, Sight(state.table[:, start:end], hidden, state.cache))
        state.cache.advance(end - start)
        return self.head(x[:, -1:]).float()

    # --- the whole sequence at once, for training and tests --------------------------------------------------------

    def forward(self, condition: Any, tokens: Tensor) -> Tensor:
        """Teacher-forced logits (B, T, V), fp32: tokens (B, T), of which the last is not read."""
        prefix, padding = self.prefix([condition], tokens.device)
        x = torch.cat((prefix.float(), self.embed(tokens[:, :-1]).float()), dim=1)
        hidden = None
        if padding is not None:
            hidden = F.pad(padding, (0, tokens.shape[1] - 1))[:, None, None]
        hidden = causal(x.shape[1], hidden, x.device)
        x = self.trunk(x, Sight(self.rotations().to(x.device)[:, : x.shape[1]], hidden))
        return self.head(x[:, prefix.shape[1] - 1 :]).float()


def causal(length: int, hidden: Tensor | None, device: torch.device) -> Tensor:
    """What must not be seen, (.., length, length): later positions and `hidden` ones, but never the position itself."""
    mask = torch.ones(length, length, dtype=torch.bool, device=device).triu(1)
    if hidden is None:
        return mask
    itself = torch.eye(length, dtype=torch.bool, device=device)
    return (mask | hidden) & ~itself
