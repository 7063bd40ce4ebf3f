"""SimpleAR: next-token prediction of a square grid by a Qwen2.5 network that reads its prompt itself (arXiv 2504.11455).

Released layout. The vocabulary is Qwen2.5's with a few added tokens, then the image codes: code c is id `text` + c. Any token may be
drawn, as in the authors' sampling; one that is no code is decoded as the nearest code, and none ends an image early.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from .family import Defaults, FileFacts, PromptSpec, TransformerFamily
from .parts.cache import KVCache
from .parts.causal import TokenState
from .parts.grid import Grid
from .parts.language import LanguageNetwork
from .parts.prompt import Prompt
from .parts.settings import decimal, whole
from .parts.text import NetworkCondition
from .tokenizers.cosmos_dv import CosmosConfig

CODES = 64000  # of the released image tokenizer
PLAIN = (151936, 152064)  # vocabularies of Qwen2.5 without image codes
RELEASED_SIDE = 64  # 1024 pixels
SIDES = (
    64,
    48,
    32,
    16,
)  # of what the published script draws, the size of the last training stage first
START, IMAGE = "<|t2i|>", "<|soi|>"
ADDED = (START, "<|i2t|>", IMAGE, "<|vtokens|>", "<|t2v|>", "<|v2t|>", "<|sov|>")
NEGATIVE = (
    "An image of aerial view, overexposed, low quality, deformation, a poor composition, bad hands, bad teeth, bad eyes,"
    " bad limbs, distortion"
)


@dataclass(frozen=True)
class SimpleARConfig:
    """Sizes of a network.

    Attributes:
        text: ids that are text, all below the image codes; 0 = not known before the image tokenizer is.
        special: ids of the tokens around a prompt.
        context: positions the network was made for.
        grid: of the image, which the file does not say.
        repetition: penalty on tokens that were there before, where the release's generation settings ask for one; 1 = none.
    """

    depth: int
    width: int
    heads: int
    kv_heads: int
    head_width: int
    ffn: int
    vocab: int
    text: int
    special: tuple[int, int]
    grid: Grid
    rope_base: float = 1e6
    eps: float = 1e-6
    context: int = 32768
    tied: bool = True
    biases: bool = True
    repetition: float = 1.0

    def __post_init__(self) -> None:
        if self.heads < 1 or self.heads % self.kv_heads or self.head_width % 2:
            raise ValueError(
                f"{self.heads} heads of width {self.head_width} cannot share {self.kv_heads} heads of keys"
            )
        if self.length >= self.context:
            raise ValueError(
                f"an image of {self.grid[0]} x {self.grid[1]} tokens does not fit into the {self.context} positions this"
                " network was made for: take a smaller picture_size"
            )

    @property
    def length(self) -> int:
        """Image tokens."""
        return self.grid[0] * self.grid[1]

    @property
    def room(self) -> int:
        """Positions a prompt may take."""
        return self.context - self.length


@dataclass
class SimpleARState(TokenState):
    """One run.

    Attributes:
        seen: which ids each conditional branch has read, (C, B, V).
        conditional: places of those branches among the rows.
    """

    seen: Tensor = field(kw_only=True)
    conditional: Sequence[int] = (0,)


class SimpleAR(LanguageNetwork[SimpleARConfig]):
    """The transformer, see `LanguageNetwork`; with the repetition penalty of its generation settings.

    The penalty acts on conditional branches alone and before guidance, as in the authors' sampling.
    """

    config: SimpleARConfig  # pyright: ignore[reportIncompatibleVariableOverride]  # a narrower one

    def begin(
        self, branches: Sequence[Prompt], device: torch.device, cache: type[KVCache] = KVCache
    ) -> TokenState:
        state = super().begin(branches, device, cache)
        if self.config.repetition == 1.0:
            return state
        return SimpleARState(**vars(state), seen=self._read_by(branches[:1], device))

    def follow(
        self, state: object, branches: Sequence[NetworkCondition], conditional: Sequence[int]
    ) -> None:
        """Several branches are conditional: the penalty acts on each by what it has read itself."""
        if isinstance(state, SimpleARState):
            prompts = [given for i in conditional if isinstance(given := branches[i], Prompt)]
            state.seen = self._read_by(prompts, state.seen.device)
            state.conditional = conditional

    def _read_by(self, prompts: Sequence[Prompt], device: torch.device) -> Tensor:
        """Which ids each branch's prompt holds, (C, B, V)."""
        each = []
        for prompt in prompts:
            ids = prompt.ids.masked_fill(prompt.padding, prompt.ids[0, -1].item())
            seen = torch.zeros(len(ids), self.config.vocab, dtype=torch.bool, device=device)
            each.append(seen.scatter_(1, ids.to(device), True))
        return torch.stack(each)

    def read(self, state: TokenState, tokens: Tensor, rows: int) -> Tensor:
        logits = super().read(state, tokens, rows)
        if not isinstance(state, SimpleARState):
            return logits
        parts = list(logits.split(state.seen.shape[1]))
        for place, read in zip(state.conditional, state.seen, strict=True):
            if place < len(parts):
                seen = seen_at_each(read, tokens, logits.shape[1])
                parts[place] = penalised(parts[place], seen, self.config.repetition)
        return torch.cat(parts)

    def advance(self, state: TokenState, tokens: Tensor) -> None:
        super().advance(state, tokens)
        if isinstance(state, SimpleARState):
            for read in state.seen:
                read.scatter_(1, tokens, True)


def seen_at_each(seen: Tensor, tokens: Tensor, count: int) -> Tensor:
    """Which ids (B, count, V) had been read at each of the last `count` positions that predict; `tokens` (B, T) end them.

    `seen` (B, V): before these tokens. T is `count`, or one less where the first position follows the prefix.
    """
    each = seen[:, None].repeat(1, count, 1)
    read = torch.arange(tokens.shape[1], device=tokens.device)
    earlier = tokens[:, torch.minimum(read[:, None], read)]  # (B, T, T): row i holds tokens 0..i
    each[:, count - len(read) :].scatter_(2, earlier, True)
    return each


def penalised(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Logits with those of seen tokens made smaller: divided by the penalty, or multiplied where negative (arXiv 1909.05858)."""
    weaker = torch.where(logits < 0, logits * penalty, logits / penalty)
    return torch.where(seen, weaker, logits)


def head_count(width: int, rows: int) -> int:
    """Heads of a release whose settings are missing, from the rows of its query matrix: 64 numbers a head, or 128 from 1.5B on."""
    return max(1, rows // (128 if width >= 1536 else 64))


def config_from_file(facts: FileFacts) -> SimpleARConfig:
    """Sizes from shapes; heads, rotary base and context from the settings; how much is text from the tokenizer's files.

    Raises:
        ValueError: a language model without image codes.
    """
    shapes = facts.shapes
    vocab, width = shapes["model.embed_tokens.weight"]
    depth = len({key.split(".")[2] for key in shapes if key.startswith("model.layers.")})
    settings = facts.own_settings(
        {"hidden_size": width, "num_hidden_layers": depth}, ("num_attention_heads",)
    )
    generation = facts.generation if settings or not facts.settings else {}
    layer = "model.layers.0"
    rows = shapes[f"{layer}.self_attn.q_proj.weight"][0]
    heads = whole(settings, "num_attention_heads", head_count(width, rows), 1, rows)
    head_width = rows // heads
    context = whole(settings, "max_position_embeddings", 32768)
    text = text_tokens(vocab, facts)
    side = whole(facts.metadata, "side", min(RELEASED_SIDE, math.isqrt(context // 2)), 1, 1024)
    return SimpleARConfig(
        depth=depth,
        width=width,
        heads=heads,
        kv_heads=shapes[f"{layer}.self_attn.k_proj.weight"][0] // head_width,
        head_width=head_width,
        ffn=shapes[f"{layer}.mlp.gate_proj.weight"][0],
        vocab=vocab,
        text=text,
        special=special_ids(text, facts),
        grid=(side, side),
        rope_base=decimal(settings, "rope_theta", 1e6),
        eps=decimal(settings, "rms_norm_eps", 1e-6, 0, 1),
        context=context,
        tied="lm_head.weight" not in shapes,
        repetition=decimal(generation, "repetition_penalty", 1.0, 0.01, 100),
    )


def text_tokens(vocab: int, facts: FileFacts) -> int:
    """Ids before the first image code: the size of the text tokenizer, or, without its files, what the release's codes leave.

    Raises:
        ValueError: there are no image codes, or the text tokenizer does not know the tokens around a prompt.
    """
    if vocab in PLAIN:
        raise ValueError(f"a vocabulary of {vocab} is plain Qwen2.5's: it has no image codes")
    if not facts.vocabulary:
        return max(vocab - CODES, 0)
    text = 1 + max(facts.vocabulary.values())
    lacking = [name for name in (START, IMAGE) if name not in facts.vocabulary]
    if lacking:
        raise ValueError(
            f"the text tokenizer beside it lacks {' and '.join(lacking)}, as that of a plain language model does"
        )
    if text >= vocab:
        raise ValueError(
            f"its vocabulary of {vocab} leaves no room for image codes beside the {text} tokens of the text tokenizer in its folder"
        )
    return text


def special_ids(text: int, facts: FileFacts) -> tuple[int, int]:
    """Ids of the tokens around a prompt: the added tokens are the last of the text."""
    return tuple(
        facts.vocabulary.get(name, text - len(ADDED) + ADDED.index(name)) for name in (START, IMAGE)
    )  # type: ignore[return-value]


def same_codes(transformer: SimpleARConfig, tokenizer: CosmosConfig) -> CosmosConfig:
    """The tokenizer's config with its codes where this network has them.

    Raises:
        ValueError: the network's vocabulary is not that of its text tokenizer and this image tokenizer together.
    """
    first = transformer.vocab - tokenizer.codes
    if first < 1 or first != (transformer.text or first):
        text = f"{transformer.text} text tokens and " if transformer.text else ""
        raise ValueError(
            f"the transformer's vocabulary of {transformer.vocab} is not made of {text}the {tokenizer.codes} codes of"
            " this image tokenizer"
        )
    return replace(tokenizer, first=first)


def frames(config: SimpleARConfig) -> tuple[Grid, ...]:
    """Square grids that leave room for a prompt, the network's own first."""
    sides = [side for side in SIDES if side * side < config.context]
    return tuple(dict.fromkeys((config.grid, *((side, side) for side in sides))))


def at(config: SimpleARConfig, frame: Grid) -> SimpleARConfig:
    """The config for images of these tokens."""
    return replace(config, grid=frame)


def prompt_text(config: SimpleARConfig, prompt: str) -> str:
    """What the network was trained to read, and the published scripts give it."""
    return f"{START}A highly realistic image of {prompt}{IMAGE}"


def negative_text(config: SimpleARConfig, negative: str) -> str:
    """The unconditional branch's text: no style in front."""
    return f"{START}{negative}{IMAGE}"


FAMILY = TransformerFamily(
    name="simplear",
    title="SimpleAR",
    required=(
        "model.embed_tokens.weight",
        "model.layers.0.self_attn.q_proj.bias",
        "model.layers.0.mlp.gate_proj.weight",
        "model.norm.weight",
    ),
    banned=("visual.", "model.visual.", "model.layers.0.self_attn.q_norm"),
    config=config_from_file,
    build=SimpleAR,
    absent=r"lm_head\.weight",
    kind="token",
    conditioning="prompt",
    null="prompt",
    prompt=PromptSpec(
        text=prompt_text,
        words=lambda config: config.text or config.vocab,
        room=lambda config: config.room,
        special=lambda config: dict(zip((START, IMAGE), config.special, strict=True)),
        negative=NEGATIVE,
        negative_text=negative_text,
    ),
    tokenizer="cosmos_dv",
    tokenizer_file="Cosmos-1.0-Tokenizer-DV8x16x16/decoder.jit",
    free_size=True,
    sizes=tuple((16 * side, 16 * side) for side in SIDES),
    frames=frames,
    at=at,
    dtypes=(torch.bfloat16, torch.float32),  # Qwen2.5's keys are too large for half precision
    defaults=Defaults(scale=6.0, schedule="constant", top_k=64000, top_p=1.0),
    fit=same_codes,
)
