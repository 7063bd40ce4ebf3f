"""Language networks whose vocabulary holds an image's codes beside text: the layout that Llama, Qwen2 and Chameleon share.

Letters as in `causal.py`. The prefix is a prompt of token ids (`prompt.py`); text and image tokens have the positions 0, 1, 2, ...
of one line, counted from the first token of a row that is not padding.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol, TypeVar

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from .attention import Sight
from .causal import CausalConfig, CausalNetwork, places
from .norms import RMSNorm
from .operations import Operations, Place
from .prompt import Prompt, stack_prompts
from .rope import line_angles, rotate_halves, turns
from .swiglu import SwiGLU

LONG_PROMPT = 256  # positions, where memory is estimated before there is a prompt


class LanguageConfig(CausalConfig, Protocol):
    """Sizes of such a network."""

    @property
    def depth(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def heads(self) -> int: ...

    @property
    def kv_heads(self) -> int: ...

    @property
    def head_width(self) -> int: ...

    @property
    def ffn(self) -> int: ...

    @property
    def vocab(self) -> int:
        """Tokens that may be drawn."""
        ...

    @property
    def length(self) -> int:
        """Tokens of an image."""
        ...

    @property
    def rope_base(self) -> float: ...

    @property
    def eps(self) -> float:
        """Of the norms."""
        ...

    @property
    def biases(self) -> bool:
        """Whether queries, keys and values have biases."""
        ...

    @property
    def tied(self) -> bool:
        """Whether the output matrix is the embedding matrix."""
        ...


class Attention(nn.Module):
    """Self-attention with shared keys and values."""

    def __init__(self, config: LanguageConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.head_width = config.head_width
        queries, keys = config.heads * config.head_width, config.kv_heads * config.head_width
        self.q_proj = ops.Linear(config.width, queries, bias=config.biases, **place)
        self.k_proj = ops.Linear(config.width, keys, bias=config.biases, **place)
        self.v_proj = ops.Linear(config.width, keys, bias=config.biases, **place)
        self.o_proj = ops.Linear(queries, config.width, bias=False, **place)

    def forward(self, x: Tensor, layer: int, sight: Sight) -> Tensor:
        """x (rows, T, D) -> (rows, T, D)."""
        q, k, v = (
            proj(x).unflatten(-1, (-1, self.head_width)).transpose(1, 2)
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = self.normed(q, k)
        return self.o_proj(sight.attend(layer, q, k, v))

    def normed(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """Queries (rows, H, T, d) and keys (rows, G, T, d) before they are rotated."""
        return q, k


class Block(nn.Module):
    """Attention and feed-forward, each on the normalised stream."""

    def __init__(
        self,
        config: LanguageConfig,
        attention: Callable[..., Attention],
        ops: Operations,
        **place: Unpack[Place],
    ) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.width, config.eps, **place)
        self.self_attn = attention(config, ops, **place)
        self.post_attention_layernorm = RMSNorm(config.width, config.eps, **place)
        self.mlp = SwiGLU(config.width, config.ffn, ops, **place)

    def forward(self, x: Tensor, layer: int, sight: Sight, dtype: torch.dtype) -> Tensor:
        """x (rows, T, D) fp32."""
        x = x + self.self_attn(self.input_layernorm(x).to(dtype), layer, sight).float()
        return x + self.mlp(self.post_attention_layernorm(x).to(dtype)).float()


class Body(nn.Module):
    """Everything but the output matrix."""

    def __init__(
        self,
        config: LanguageConfig,
        words: int,
        attention: Callable[..., Attention],
        ops: Operations,
        **place: Unpack[Place],
    ) -> None:
        super().__init__()
        self.embed_tokens = ops.Embedding(words, config.width, **place)
        self.layers = nn.ModuleList(
            Block(config, attention, ops, **place) for _ in range(config.depth)
        )
        self.norm = RMSNorm(config.width, config.eps, **place)


L = TypeVar("L", bound=LanguageConfig)


class LanguageNetwork(CausalNetwork[L, Prompt]):
    """The network. Conditions: a `Prompt` of each branch; tokens are ids of the joint vocabulary, unless `embed` shifts them."""

    turn = staticmethod(rotate_halves)
    attention: ClassVar[type[Attention]] = Attention

    @property
    def words(self) -> int:
        """Ids of text and image tokens together."""
        return self.config.vocab

    @property
    def kv_heads(self) -> int:
        return self.config.kv_heads

    def build(self, operations: Operations, **place: Unpack[Place]) -> None:
        config = self.config
        self.model = Body(config, self.words, self.attention, operations, **place)
        self.lm_head = operations.Linear(config.width, config.vocab, bias=False, **place)
        if config.tied:
            tie(self)
            self.register_load_state_dict_post_hook(lambda network, keys: tie(network))

    # --- what `CausalNetwork` asks for -----------------------------------------------------------------------------

    def prefix(
        self, branches: Sequence[Prompt], device: torch.device
    ) -> tuple[Tensor, Tensor | None]:
        prompt = stack_prompts(branches, device)
        padding = prompt.padding if prompt.padding.any() else None
        return self.model.embed_tokens(prompt.ids), padding

    def prefix_length(self, branches: Sequence[Prompt]) -> int:
        return max((branch.positions for branch in branches), default=LONG_PROMPT)

    def embed(self, tokens: Tensor) -> Tensor:
        return self.model.embed_tokens(tokens)

    def table(self, prefix: int, padding: Tensor | None) -> Tensor:
        place = torch.arange(prefix + places(self.config.length, self.line))
        if padding is not None:
            place = (place - padding.sum(1).cpu()[:, None]).clamp_min(0)  # (rows, L)
        return turns(line_angles(place, self.config.head_width // 2, self.config.rope_base))

    def trunk(self, x: Tensor, sight: Sight) -> Tensor:
        for i, layer in enumerate(self.model.layers):
            x = layer(x, i, sight, self.compute_dtype)
        return x

    def head(self, x: Tensor) -> Tensor:
        return self.lm_head(self.model.norm(x).to(self.compute_dtype))


def tie(network: "LanguageNetwork") -> None:
    """The output matrix is the embedding matrix: one parameter of two layers, also after a host has replaced one."""
    network.lm_head.weight = network.model.embed_tokens.weight
