"""What decoder-only image networks share: state of a run, prefill, decoding one token, the whole sequence at once.

Letters: B images, R branches (rows = R*B, branch by branch), P prefix positions, T image tokens, L = P + T - 1 positions,
D width, H heads (G of keys and values, where they are shared), d head width, V vocabulary. Position P + t holds token t; the output at position P + t - 1 predicts it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from .attention import Sight, added_mask
from .cache import KVCache, Weighable
from .network import BranchedModule
from .rope import rotate
from .sizes import check_heads


class EvenSizes:
    """What the sizes of a network say whose heads share its width evenly, and whose prefix is its largest forward pass."""

    width: int
    heads: int
    prefix: int

    def __post_init__(self) -> None:
        check_heads(self.width, self.heads, multiple=4)

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def step_tokens(self) -> int:
        """Positions of the largest forward pass."""
        return self.prefix


class CausalConfig(Protocol):
    """Sizes of a decoder-only network."""

    @property
    def depth(self) -> int: ...

    @property
    def heads(self) -> int: ...

    @property
    def head_width(self) -> int: ...

    @property
    def length(self) -> int: ...


S = TypeVar("S", bound=CausalConfig)
B = TypeVar("B")  # a branch's condition


@dataclass
class TokenState(Weighable):
    """One run: the prefix, tables that depend on the condition alone, and the cache."""

    prefix: Tensor  # (rows, P, D) fp32
    hidden: Tensor | None  # (rows, 1, 1, L): positions nobody sees (padding)
    table: Tensor  # (L, d/2, 2), or (rows, 1, L, d/2, 2)
    cache: KVCache
    line: int  # tokens after which a line end stands in the cache, 0 = never
    tokens: int = 0  # image tokens in the cache

    def weigh(self, values: Tensor | None, keys: Tensor | None) -> None:
        values, keys = (None if w is None else with_line_ends(w, self.line) for w in (values, keys))
        super().weigh(values, keys)


class CausalNetwork(BranchedModule[S], Generic[S, B]):
    """The token-wise protocol (`begin`, then `read` and `advance`) over what a family defines.

    A family defines `build`, `prefix`, `embed`, `rotations` (or `table`), `trunk` and `head`; one whose prefix has a length of
    its own `fixed_prefix`, any other `prefix_length`; one with fewer heads of keys and values `kv_heads`.
    """

    turn: Callable[[Tensor, Tensor], Tensor] = staticmethod(rotate)

    # --- what a family defines -------------------------------------------------------------------------------------

    def prefix(self, branches: Sequence[B], device: torch.device) -> tuple[Tensor, Tensor | None]:
        """Prefix embeddings (rows, P, D) of all branches, and which of them are padding (rows, P), or None."""
        raise NotImplementedError

    def embed(self, tokens: Tensor) -> Tensor:
        """Embeddings (B, T, D) of image tokens (B, T)."""
        raise NotImplementedError

    @property
    def line(self) -> int:
        """Tokens after each of which the network itself puts a line end into the sequence; 0 = never."""
        return 0

    def line_ends(self, tokens: Tensor) -> Tensor:
        """Embeddings (B, 1, D) of a line end behind tokens (B, T)."""
        raise NotImplementedError

    def prefix_length(self, branches: Sequence[B]) -> int:
        """Prefix positions P of a run with these conditions."""
        return self.fixed_prefix

    def rotations(self) -> Tensor:
        """The table (L, d/2, 2) of every position."""
        raise NotImplementedError

    def table(self, prefix: int, padding: Tensor | None) -> Tensor:
        """The table of `prefix` positions and all tokens; rows of their own, (rows, 1, L, d/2, 2), where padding shifts them."""
        return self.rotations()

    def trunk(self, x: Tensor, sight: Sight) -> Tensor:
        """All layers: (rows, T, D) -> (rows, T, D)."""
        raise NotImplementedError

    def head(self, x: Tensor) -> Tensor:
        """Last norm and output matrix: (rows, T, D) -> (rows, T, V)."""
        raise NotImplementedError

    # --- the token-wise protocol -----------------------------------------------------------------------------------

    @property
    def fixed_prefix(self) -> int:
        """Prefix positions of every run; 0 where the prompt decides."""
        return 0

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values."""
        return self.config.heads

    def cache_bytes(
        self, rows: int, prefix: int | None = None, *, cache: type[KVCache] = KVCache
    ) -> int:
        """Memory of the key/value cache for `rows` = branches x batch; `prefix`: positions, None = the configured ones."""
        c = self.config
        length = (self.fixed_prefix if prefix is None else prefix) + places(c.length, self.line)
        itemsize = self.compute_dtype.itemsize
        return cache.bytes(c.depth, rows, self.kv_heads, length, c.head_width, itemsize)

    def begin(
        self, branches: Sequence[B], device: torch.device, cache: type[KVCache] = KVCache
    ) -> TokenState:
        """Start a run. `branches`: every branch's condition; `device`: where to compute; `cache`: how keys and values are kept."""
        c = self.config
        prefix, padding = self.prefix(branches, device)
        follow = places(c.length - 1, self.line)
        rows, length = prefix.shape[0], prefix.shape[1] + follow
        hidden = None
        if padding is not None:
            hidden = F.pad(padding, (0, follow))[:, None, None]
        sizes = c.depth, rows, self.kv_heads, length, c.head_width
        kept = cache(*sizes, self.compute_dtype, device, start=prefix.shape[1])
        table = self.table(prefix.shape[1], padding).to(device)
        return TokenState(prefix.float(), hidden, table, kept, self.line)

    def read(self, state: TokenState, tokens: Tensor, rows: int) -> Tensor:
        """Raw logits (rows, n, V), fp32, of what follows each of `tokens` (B, T), for the first `rows` rows: n = T.

        The first call reads the prefix before them, T may then be 0: n = 1 + T. Nothing is settled: `advance` says how
        many of the tokens stay, and the next call reads on behind those.
        """
        x, start = self._inputs(state, tokens, rows), state.cache.filled
        end = start + x.shape[1]
        hidden = None if state.hidden is None else state.hidden[:rows, :, :, :end]
        if x.shape[1] > 1:
            hidden = causal(end, hidden, x.device, start)
        table = positions(state.table, start, end, rows)
        mask = added_mask(hidden, self.compute_dtype)
        x = self.trunk(x, Sight(table, hidden, state.cache, self.turn, mask))
        return self.head(x[:, self._predicting(state, tokens.shape[1], start)]).float()

    def _inputs(self, state: TokenState, tokens: Tensor, rows: int) -> Tensor:
        """What the layers read, (rows, positions, D) fp32."""
        parts = [] if state.cache.filled else [state.prefix[:rows]]
        if tokens.shape[1]:
            x = self.sequence(tokens, places(state.tokens, self.line)).float()
            parts.append(x.repeat(rows // x.shape[0], 1, 1))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def _predicting(self, state: TokenState, count: int, start: int) -> slice | list[int]:
        """Positions of a pass, counted from its first, whose outputs predict a token: line ends stand before theirs."""
        first = state.prefix.shape[1] - start
        if not self.line:
            return slice(first - 1 if start == 0 else 0, None)
        read = range(state.tokens + 1, state.tokens + count + 1)
        last = [first + places(n, self.line) - 1 for n in read]
        return [first - 1, *last] if start == 0 else last

    def advance(self, state: TokenState, tokens: Tensor) -> None:
        """The first tokens (B, n) of the last `read` stay, and the prefix if it read that; later ones are forgotten."""
        state.tokens += tokens.shape[1]
        state.cache.filled = state.prefix.shape[1] + places(state.tokens, self.line)

    def step(self, state: TokenState, tokens: Tensor | None, rows: int) -> Tensor:
        """Raw logits (rows, 1, V), fp32, of the token after the last one (B, 1); None at the first step."""
        last = state.prefix.new_empty(rows, 0, dtype=torch.long) if tokens is None else tokens
        logits = self.read(state, last, rows)
        self.advance(state, last)
        return logits

    def sequence(self, tokens: Tensor, place: int = 0) -> Tensor:
        """Embeddings (B, positions, D) of tokens (B, T) and the line ends among and after them; the first is at `place`."""
        x, line = self.embed(tokens), self.line
        if not line:
            return x
        first = line - place % (line + 1)  # tokens up to the end of this line
        parts = [x[:, :first], *x[:, first:].split(line, dim=1)] if first < x.shape[1] else [x]
        for i, left in enumerate([first, *[line] * (len(parts) - 1)]):
            if parts[i].shape[1] == left:
                parts[i] = torch.cat((parts[i], self.line_ends(tokens)), dim=1)
        return torch.cat(parts, dim=1)

    # --- the whole sequence at once, for training and tests --------------------------------------------------------

    def forward(self, condition: B, tokens: Tensor) -> Tensor:
        """Teacher-forced logits (B, T, V), fp32: tokens (B, T), of which the last is not read."""
        x = self.outputs(condition, self.sequence(tokens[:, :-1]))
        index = torch.arange(tokens.shape[1], device=x.device)
        return self.head(x[:, index + index // self.line] if self.line else x).float()

    def outputs(self, condition: B, sequence: Tensor) -> Tensor:
        """What the layers make of the prefix and a sequence (B, n, D), from the prefix's last position on: (B, 1 + n, D)."""
        prefix, padding = self.prefix([condition], sequence.device)
        x = torch.cat((prefix.float(), sequence.float()), dim=1)
        hidden = None
        if padding is not None:
            hidden = F.pad(padding, (0, sequence.shape[1]))[:, None, None]
        hidden = causal(x.shape[1], hidden, x.device)
        table = self.table(prefix.shape[1], padding).to(x.device)
        table = positions(table, 0, x.shape[1], x.shape[0])
        x = self.trunk(x, Sight(table, hidden, None, self.turn))
        return x[:, prefix.shape[1] - 1 :]


def places(tokens: int, line: int) -> int:
    """Positions that this many tokens of an image and their line ends take."""
    return tokens + (tokens // line if line else 0)


def with_line_ends(weights: Tensor, line: int) -> Tensor:
    """Weights (B, n) of tokens -> of their positions, 1 for line ends."""
    if not line or weights.shape[1] < line:
        return weights
    ends = weights.new_ones(weights.shape[0], 1)
    return torch.cat(
        [
            torch.cat((part, ends), 1) if part.shape[1] == line else part
            for part in weights.split(line, 1)
        ],
        1,
    )


def positions(table: Tensor, start: int, end: int, rows: int) -> Tensor:
    """Positions start .. end - 1 of a table, of the first `rows` rows where rows have their own."""
    part = table[..., start:end, :, :]
    return part if part.dim() == 3 else part[:rows]


def causal(length: int, hidden: Tensor | None, device: torch.device, start: int = 0) -> Tensor:
    """What positions `start` and later must not see, (.., length - start, length).

    Later positions and `hidden` ones, but never the position itself.
    """
    square = torch.ones(length - start, length, dtype=torch.bool, device=device)
    mask = square.triu(start + 1)
    if hidden is None:
        return mask
    itself = square.triu(start) & ~mask
    return (mask | hidden) & ~itself
